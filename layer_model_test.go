package siaran

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever comes, the ring keeps what it promises and nothing else; the model is a list of all that was ever put in.
func TestLayerAgainstAModel(t *testing.T) {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 0))
		codec := []Codec{testVP8, testOpus}[seed%2]
		f := newFiller(codec)
		f.seq = r.Int64N(100) // so that the ring does not begin at slot 0
		f.head.Store(f.seq)
		f.tail.Store(f.seq)
		var all []*Packet
		for step := range 1500 {
			if r.IntN(50) == 0 {
				f.seq += r.Int64N(maxGap)
			}
			if r.IntN(500) == 0 {
				f.at = f.at.Add(time.Duration(r.Int64N(int64(5 * time.Second))))
			}
			f.size = 1 + r.IntN(1500)
			if r.IntN(700) == 0 {
				f.size = layerBytes / 3 // no packet is that large, but then a few fill the ring
			}
			keyframe := codec.Name == VP8 && r.IntN(100) == 0
			f.put(keyframe, r.IntN(3) > 0)
			all = append(all, f.Get(f.seq-1))
			if step%50 != 0 && r.IntN(20) > 0 {
				continue
			}
			f.check(t)
			checkKept(t, f, all)
			if t.Failed() {
				t.Fatalf("seed %d, step %d", seed, step)
			}
		}
	}
}

// checkKept looks for packets that have been let go too early or kept for too long.
func checkKept(t *testing.T, f *filler, all []*Packet) {
	t.Helper()
	newest := all[len(all)-1]
	keyframe, started := f.Keyframe()
	bytes := 0
	for i := len(all) - 1; i >= 0; i-- {
		p := all[i]
		bytes += p.cost()
		if newest.Seq-p.Seq >= int64(len(f.slots)) || bytes > layerBytes {
			for _, older := range all[:i+1] {
				if f.Get(older.Seq) != nil {
					t.Fatalf("packet %d is there beyond the bounds", older.Seq)
				}
			}
			return
		}
		young := newest.Arrival.Sub(p.Arrival) <= repairTime
		wanted := young || f.codec.Name == VP8 && started && p.Seq >= keyframe
		if wanted && f.Get(p.Seq) != p {
			t.Fatalf("packet %d has been let go: %v old, key frame %d %v, newest %d", p.Seq, newest.Arrival.Sub(p.Arrival),
				keyframe, started, newest.Seq)
		}
	}
}
