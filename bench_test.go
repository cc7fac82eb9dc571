package siaran

import (
	"testing"
	"time"
)

func BenchmarkWrite(b *testing.B) {
	for _, followers := range []int{0, 2} {
		b.Run(map[int]string{0: "nobody", 2: "two workers"}[followers], func(b *testing.B) {
			h := NewHub(time.Minute, newSampleFramer)
			defer h.Close()
			w := videoWriter(b, h)
			for range followers {
				defer w.Layer().Follow(make(chan struct{}, 1))()
			}
			key, next := make([]byte, 1200), make([]byte, 1200)
			copy(key, vp8Key)
			copy(next, vp8Next)
			at := time.Now()
			b.ReportAllocs()
			for seq := int64(0); b.Loop(); seq++ {
				payload := next
				if seq%1000 == 0 {
					payload = key
				}
				write(b, w, seq, seq*900, payload, at)
				at = at.Add(time.Millisecond)
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	f := newFiller(testVP8)
	f.put(true, true)
	f.putMany(8000)
	b.ReportAllocs()
	seq := int64(0)
	for b.Loop() {
		if seq++; seq == f.Head() {
			seq = f.Tail()
		}
		if f.Get(seq) == nil {
			b.Fatal(seq)
		}
	}
}
