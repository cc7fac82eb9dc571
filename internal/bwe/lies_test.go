package bwe

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"
)

// TestLies feeds reports whose fields are made up. The estimate may be wrong then, but stays within its bounds, and
// what is asked for as probes stays small.
func TestLies(t *testing.T) {
	var random *rand.Rand
	lies := map[string]func(b []byte){
		"a clock that jumps":       func(b []byte) { binary.BigEndian.PutUint32(b[16:], random.Uint32()) },
		"a clock that stands":      func(b []byte) { b[16], b[17], b[18] = 0, 0, 0 },
		"a clock that runs back":   func(b []byte) { b[16], b[17], b[18] = ^b[16], ^b[17], ^b[18] },
		"numbers at random":        func(b []byte) { binary.BigEndian.PutUint16(b[12:], uint16(random.Uint32())) },
		"counts at random":         func(b []byte) { binary.BigEndian.PutUint16(b[14:], uint16(random.Uint32())) },
		"statuses and delays":      func(b []byte) { scramble(random, b[20:]) },
		"anything":                 func(b []byte) { scramble(random, b[12:]) },
		"everything arrives early": func(b []byte) { binary.BigEndian.PutUint16(b[17:], 0) },
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			random = rand.New(rand.NewPCG(5, 6))
			w := newWorld(t, &link{rate: constant(1e6)})
			w.run(5 * time.Second)
			w.mangle = func(b []byte) [][]byte {
				lie(b)
				return [][]byte{b}
			}
			padding, media := w.extra, w.media
			w.run(time.Minute)
			if w.extra-padding > w.media-media+1<<20 {
				t.Errorf("%d bytes of padding beside %d of media", w.extra-padding, w.media-media)
			}
			w.mangle = nil
			w.run(115 * time.Second) // trials may have been put off for a minute
			w.checkTarget(17, 18)
		})
	}
}

func scramble(random *rand.Rand, b []byte) {
	for i := range b {
		if random.IntN(3) == 0 {
			b[i] = byte(random.Uint32())
		}
	}
}

func TestREMBDoesNotRule(t *testing.T) {
	for name, remb := range map[string]uint64{"0": 0, "10 Gbit/s": 10_000_000_000} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &link{rate: constant(1e6)})
			for range 100 {
				w.run(100 * ms)
				w.e.REMB(remb, w.clock())
				w.e.Loss(256, time.Second, w.clock())
			}
			w.checkTarget(0, 1)
		})
	}
}

func TestRefusedFeedback(t *testing.T) {
	now := time.Unix(1, 0)
	for name, b := range map[string][]byte{
		"empty":            {},
		"header alone":     {0x8f, 205, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0},
		"other type":       {0x8f, 206, 0, 4, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0},
		"length too great": {0x8f, 205, 0, 9, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0},
		"padding too long": {0xaf, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 9},
		"no deltas":        {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 9, 0, 0, 0, 0, 0x20, 9, 4, 0},
		"too many":         {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0x1f, 0xff, 0, 0},
		"not sent yet":     {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0, 9, 0, 2, 0, 0, 0, 0, 0x20, 2, 4, 4},
		"never sent":       {0x8f, 205, 0, 5, 0, 0, 0, 1, 0, 0, 0, 2, 0x80, 0, 0, 1, 0, 0, 0, 0, 0x20, 1, 4, 0},
	} {
		e := New(now)
		for range 10 {
			e.Sent(now, 1000)
		}
		if err := e.Feedback(b, now); err == nil {
			t.Errorf("%s: no error", name)
		}
		if e.heard {
			t.Errorf("%s: it was heeded", name)
		}
	}
}
