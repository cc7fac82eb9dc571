package siaran

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"
)

// TestMemoryOfRingsIsBounded: whatever many broadcasters send, in large packets and in tiny ones, all rings together
// stay within the bound, each broadcast within its part, and all of it is there again when they have ended.
func TestMemoryOfRingsIsBounded(t *testing.T) {
	const bound = 192 << 20
	for _, size := range []int{1200, 12} {
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			h := NewHub(time.Minute, newSampleFramer)
			h.LimitMemory(bound)
			before := heap()
			rids := []string{"a", "b", "c", "d", "e", "f", "g", "h"}
			var writers []*Writer
			refused := 0
			for i := range 100 {
				p, err := h.Publish(StreamName(fmt.Sprint("s", i)), "key",
					[]TrackSpec{{Codec: testVP8, RIDs: rids}, {Codec: testOpus}})
				if errors.Is(err, ErrTooManySessions) {
					refused++
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				writers = append(writers, p.Writers()...)
			}
			if len(writers) == 0 || refused == 0 {
				t.Fatalf("%d layers, %d broadcasts refused", len(writers), refused)
			}
			var flood sync.WaitGroup
			for part := range 4 {
				flood.Go(func() {
					for i := part; i < len(writers); i += 4 {
						at := testTime
						for seq := range int64(4000) { // a group of pictures that does not end
							payload := append(make([]byte, 0, size), vp8Next...)
							if seq == 0 {
								payload = append(payload[:0], vp8Key...)
							}
							if err := writers[i].Write(seq, seq*90, true, payload[:size], at); err != nil {
								t.Error(err)
							}
							at = at.Add(time.Millisecond)
						}
					}
				})
			}
			flood.Wait()
			if grown := heap() - before; grown > bound {
				t.Errorf("%d MiB are kept, the bound is %d", grown>>20, bound>>20)
			}
			if h.memory.free.Load() < 0 {
				t.Errorf("%d bytes too many are granted", -h.memory.free.Load())
			}
			for _, b := range h.broadcasts {
				held := 0
				for _, track := range b.tracks() {
					for _, l := range track.Layers {
						if l.held > l.granted || l.Head()-l.Tail() == 0 {
							t.Fatalf("a layer of %s holds %d bytes of %d", b.stream, l.held, l.granted)
						}
						held += l.granted
					}
				}
				if held > bound/broadcastDivisor {
					t.Errorf("%s holds %d bytes, its part is %d", b.stream, held, bound/broadcastDivisor)
				}
			}
			h.Close()
			writers = nil
			if free := h.memory.free.Load(); free != bound {
				t.Errorf("%d of %d bytes are there again", free, bound)
			}
			if grown := heap() - before; grown > bound/20 {
				t.Errorf("%d MiB are left at the end", grown>>20)
			}
			runtime.KeepAlive(h)
		})
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestBudgetIsGivenBack: a long group of pictures takes memory from others only while it lasts.
func TestBudgetIsGivenBack(t *testing.T) {
	all := newBudget(64<<20, nil)
	f := &filler{Layer: newLayer("", testVP8, newBudget(48<<20, all)), at: testTime, size: 1200}
	f.put(true, true)
	f.putMany(12000)
	f.check(t)
	if f.granted < 12000*1200 {
		t.Errorf("%d bytes granted", f.granted)
	}
	f.at = f.at.Add(time.Minute)
	f.put(true, true)
	f.put(false, true)
	f.check(t)
	if f.granted > videoFloor+2*grantBytes {
		t.Errorf("%d bytes are still granted for one packet", f.granted)
	}
	f.close()
	if free := all.free.Load(); free != all.all {
		t.Errorf("%d of %d bytes are there again", free, all.all)
	}
}

// TestLayerWithoutMemory keeps the newest packets, and is offered again from the next key frame on.
func TestLayerWithoutMemory(t *testing.T) {
	f := &filler{Layer: newLayer("", testVP8, newBudget(videoFloor+videoSlots*slotBytes, nil)), at: testTime, size: 1200}
	f.put(true, true)
	f.putMany(5000)
	f.check(t)
	if kept := f.Head() - f.Tail(); kept < 200 || f.held > videoFloor {
		t.Errorf("%d packets of %d bytes are kept", kept, f.held)
	}
	if _, ok := f.Keyframe(); ok {
		t.Error("a key frame is offered that has been let go")
	}
	f.put(true, true)
	if k, ok := f.Keyframe(); !ok || k != f.Head()-1 {
		t.Error("the next key frame is not offered")
	}
	if newLayer("", testOpus, newBudget(audioFloor, nil)) != nil {
		t.Error("a layer without memory")
	}
}
