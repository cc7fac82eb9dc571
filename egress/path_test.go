package egress

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pion/rtcp"
)

// cutPath is a path of 10 Mbit/s that carries 400 kbit/s for 20 s, from second 13 on.
func cutPath(at time.Duration) float64 {
	if at > 13*time.Second && at < 33*time.Second {
		return 400e3
	}
	return 10e6
}

func TestModelPathIsCut(t *testing.T) {
	model(t)
	for _, deaf := range []bool{false, true} {
		layers := three()
		for _, e := range layers {
			if e.deaf = deaf; deaf {
				e.every = 60
			}
		}
		x := newWorld(t, cutPath, true, layers...)
		x.reaches(2, 4*time.Second)
		x.run(x.start.Add(13 * time.Second).Sub(x.now))
		x.expect(x.lost == 0 && x.gap < 150*time.Millisecond, "smooth at the start")
		x.measure()
		x.reaches(0, 2*time.Second)
		x.run(time.Second)
		x.expect(x.gap < 500*time.Millisecond, "no freeze at the cut")
		x.expect(deaf || x.lost == 0, "no loss, in a queue of a second") // deaf: a key frame of 50 kB meets the cut
		x.measure()
		x.run(16 * time.Second)
		x.expect(x.layer == 0 && x.queue < 250*time.Millisecond && x.gap < 250*time.Millisecond, "smooth in the cut")
		x.measure()
		x.reaches(2, 15*time.Second)
		x.expect(x.gap < 250*time.Millisecond, "smooth on the way up")
	}
}

func TestModelPathThatSwings(t *testing.T) {
	model(t)
	x := newWorld(t, func(at time.Duration) float64 {
		if at/(5*time.Second)%2 == 0 {
			return 3e6
		}
		return 0.5e6
	}, true, three()...)
	x.most = 300 * time.Millisecond
	x.run(2 * time.Minute)
	x.expect(x.frozen < 1200*time.Millisecond, "less than 1 % frozen")
}

// One layer of 2.5 Mbit/s in three temporal layers, on paths that do not carry all of it.
func TestModelThinPathsOfOneLayer(t *testing.T) {
	model(t)
	for _, c := range []struct {
		carries float64
		frames  [3]int // in 20 s at least, by temporal layer
		gap     time.Duration
	}{
		{10e6, [3]int{140, 140, 280}, 150 * time.Millisecond},
		{2.2e6, [3]int{130, 130, 0}, 200 * time.Millisecond},
		{1e6, [3]int{130, 0, 0}, 400 * time.Millisecond},
		{0.6e6, [3]int{3, 0, 0}, 8 * time.Second},
		{0.2e6, [3]int{2, 0, 0}, 10 * time.Second},
	} {
		x := newWorld(t, steady(c.carries), true, &encoder{rate: 2500e3, temporal: []uint8{0, 2, 1, 2}})
		x.run(10 * time.Second)
		x.measure()
		x.run(20 * time.Second)
		what := fmt.Sprintf("%v kbit/s", c.carries/1000)
		x.expect(x.soundGap < 300*time.Millisecond && x.queue < 300*time.Millisecond, what+": sound goes on")
		x.expect(x.gap < c.gap, what+": the picture too")
		for tid, n := range c.frames {
			x.expect(x.temporal[tid] >= n*98/100, fmt.Sprintf("%s: %d frames of temporal layer %d", what, n, tid))
			x.expect(n > 0 || x.temporal[tid] == 0, fmt.Sprintf("%s: none of temporal layer %d", what, tid))
		}
	}
}

// A viewer without transport-wide feedback has receiver reports alone.
func TestModelPathWithoutFeedback(t *testing.T) {
	model(t)
	for carries, layer := range map[float64]int{10e6: 2, 0.3e6: 0} {
		x := newWorld(t, steady(carries), false, three()...)
		x.run(20 * time.Second)
		x.expect(x.layer == layer, fmt.Sprintf("layer %d at %v kbit/s", layer, carries/1000))
	}
}

// One layer without temporal ones, on paths that do not carry it: key frames go on, and everything when it fits again.
func TestModelThinPathsWithNothingToChoose(t *testing.T) {
	model(t)
	for _, most := range []time.Duration{200 * time.Millisecond, 2 * time.Second} {
		x := newWorld(t, func(at time.Duration) float64 {
			if at < 30*time.Second {
				return 1e6
			}
			return 10e6
		}, false, &encoder{rate: 2500e3, every: 60})
		x.most = most
		x.run(12 * time.Second)
		x.measure()
		x.run(15 * time.Second)
		x.expect(x.temporal[0] < 60, "only key frames")
		x.expect(x.soundGap < time.Second, "sound goes on")
		x.run(15 * time.Second)
		x.measure()
		x.run(5 * time.Second)
		x.expect(x.temporal[0] > 130, "everything again")
	}
}

// Feedback that lies gets its viewer what it asks for, or less, at a bounded cost.
func TestModelFeedbackThatLies(t *testing.T) {
	model(t)
	random := rand.New(rand.NewPCG(5, 6))
	remb := func(bits float32) []byte {
		b, err := (&rtcp.ReceiverEstimatedMaximumBitrate{Bitrate: bits, SSRCs: []uint32{2}}).Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, lies := range map[string]func([]byte) []byte{
		"bits are turned": func(b []byte) []byte {
			for range 5 {
				b[8+random.IntN(len(b)-8)] ^= byte(1 << random.IntN(8))
			}
			return b
		},
		"everything arrived at once": func(b []byte) []byte {
			first, count := binary.BigEndian.Uint16(b[12:]), binary.BigEndian.Uint16(b[14:])
			return arrivals(nil, first, count, time.Duration(random.IntN(1000))*time.Millisecond)
		},
		"what was not sent arrived": func(b []byte) []byte {
			return arrivals(nil, uint16(random.IntN(1<<16)), uint16(random.IntN(1<<13)), time.Minute)
		},
		"REMB of nothing":   func([]byte) []byte { return remb(0) },
		"REMB of 10 Gbit/s": func([]byte) []byte { return remb(10e9) },
		"REMB of both":      func([]byte) []byte { return append(remb(0), remb(10e9)...) },
		"nothing":           func([]byte) []byte { return nil },
		"a flood of all that": func(b []byte) []byte {
			flood := remb(10e9)
			for len(flood) < 1200 {
				flood = append(flood, append(arrivals(nil, 1, 100, time.Second), b...)...)
			}
			return flood
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := newWorld(t, steady(10e6), true, three()...)
			x.lies = lies
			x.run(10 * time.Second)
			before := x.sent
			x.run(10 * time.Second)
			if rate := (x.sent - before) * 8 / 10; rate > 4_000_000 {
				t.Errorf("%d bit/s go out, of layers of 2.5 Mbit/s at most", rate)
			}
			x.expect(x.soundGap < 100*time.Millisecond, "sound goes on")
		})
	}
}
