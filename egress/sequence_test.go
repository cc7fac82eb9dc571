package egress

import (
	"testing"

	"siaran"
)

func TestSequencerFromManyStarts(t *testing.T) {
	a, b := new(siaran.Layer), new(siaran.Layer)
	for _, start := range []int64{0, 1, 1<<15 - 3, 1<<16 - 5, 1<<16 - 1, 1 << 16, 3<<16 - 2} {
		s := sequencer{next: start}
		s.jump(a, 100)
		for in := int64(100); in < 110; in++ {
			if in == 105 {
				continue // lost on its way here: the viewer must see the gap
			}
			if out := s.assign(in); out != start+in-100 {
				t.Fatalf("start %d: %d went out as %d", start, in, out)
			}
		}
		s.jump(a, 200) // skipped: the viewer sees no gap
		if out := s.assign(200); out != start+10 {
			t.Fatalf("start %d: after the skip %d, want %d", start, out, start+10)
		}
		s.jump(b, 7)
		s.assign(7)
		for _, c := range []struct {
			out   int64
			layer *siaran.Layer
			in    int64
		}{{start, a, 100}, {start + 9, a, 109}, {start + 10, a, 200}, {start + 11, b, 7}} {
			out, sent := s.expand(uint16(c.out))
			layer, in, ok := s.find(out)
			if !sent || !ok || layer != c.layer || in != c.in || out != c.out {
				t.Errorf("start %d: number %d is %d of %p, ok %v; want %d of %p", start, c.out, in, layer, ok, c.in, c.layer)
			}
		}
		if _, ok := s.expand(uint16(start + 12)); ok {
			t.Error("found what has not been sent yet")
		}
		if _, _, ok := s.find(start - 1); ok {
			t.Error("found what was before the first")
		}
	}
}

func TestSequencerForgets(t *testing.T) {
	var s sequencer
	l := new(siaran.Layer)
	s.jump(l, 100)
	s.assign(100)
	s.forget()
	s.jump(l, 100)
	if out := s.assign(100); out != 1 {
		t.Errorf("went out as %d, want 1", out)
	}
	if _, _, ok := s.find(0); ok {
		t.Error("found what was before")
	}
	if _, in, ok := s.find(1); !ok || in != 100 {
		t.Errorf("found %d, %v", in, ok)
	}
}

func TestSequencerKeepsABoundedPast(t *testing.T) {
	var s sequencer
	for i := range int64(100) {
		s.jump(new(siaran.Layer), i*1000)
		s.assign(i * 1000)
	}
	if len(s.runs) != maxRuns {
		t.Errorf("%d runs, want %d", len(s.runs), maxRuns)
	}
	if _, in, ok := s.find(99); !ok || in != 99_000 {
		t.Errorf("the newest is %d, %v", in, ok)
	}
}
