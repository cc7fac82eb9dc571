package bwe

import (
	"testing"
	"time"
)

// rembReceiver estimates in the manner of browsers without transport-wide feedback: from abs-send-time it judges
// whether delays grow, and follows what arrives: at most one and a half times that, and 0.85 times when they grow.
// Reports go out once a second, and at once when the estimate falls.
type rembReceiver struct {
	estimate float64
	reported time.Duration
	stepped  time.Duration
	said     float64

	group           time.Duration // when its first packet was sent
	sent, in        time.Duration // of the newest packet
	lastOut, lastIn time.Duration // of the last packet of the group before
	growth          float64       // of the delay, smoothed, in milliseconds
	since           time.Duration // when growth began

	bytes    []transit // of the last second
	lost     int
	expected int
}

func (r *rembReceiver) rate(now time.Duration) float64 {
	for len(r.bytes) > 0 && r.bytes[0].arrival < now-time.Second/2 {
		r.bytes = r.bytes[1:]
	}
	sum := 0
	for _, p := range r.bytes {
		sum += p.size
	}
	return float64(sum) * 8 * 2
}

// take returns whether there is something to report at once.
func (r *rembReceiver) take(p transit) bool {
	const groupTime = 5 * time.Millisecond
	r.bytes = append(r.bytes, p)
	if r.estimate == 0 {
		r.estimate = 300_000 // what browsers begin with
	}
	fell := false
	if p.sent-r.group > groupTime {
		if r.lastIn != 0 {
			change := (r.in - r.lastIn) - (r.sent - r.lastOut)
			r.growth = 0.9*r.growth + change.Seconds()*1000
			fell = r.judge(p.arrival)
		}
		r.lastOut, r.lastIn, r.group = r.sent, r.in, p.sent
	}
	r.sent, r.in = p.sent, p.arrival
	return fell
}

func (r *rembReceiver) judge(now time.Duration) (fell bool) {
	incoming := r.rate(now)
	step := (now - r.stepped).Seconds()
	r.stepped = now
	switch {
	case r.growth > 12.5: // milliseconds
		if r.since == 0 {
			r.since = now
		}
		if now-r.since > 10*time.Millisecond && 0.85*incoming < r.estimate {
			r.estimate, r.since = 0.85*incoming, 0
			return true
		}
	case r.growth < -12.5: // the queue drains
		r.since = 0
	default:
		r.since = 0
		r.estimate = min(r.estimate*(1+0.08*min(step, 1)), max(r.estimate, 1.5*incoming+10_000))
	}
	return false
}

// withREMB lets time pass for a viewer that reports by REMB, or not even that, and by receiver reports.
func (w *world) withREMB(d time.Duration, remb bool) {
	r := &rembReceiver{}
	var next uint16
	var said []transit // reports under way: their size is the estimate
	for end := w.now + d; w.now < end; w.now += time.Millisecond {
		for len(said) > 0 && said[0].arrival <= w.now {
			if remb {
				w.e.REMB(uint64(said[0].size), w.clock())
			}
			w.e.Loss(int(said[0].number), said[0].sent, w.clock())
			said = said[1:]
		}
		w.send()
		w.arriving = append(w.arriving, w.link.run(w.now+time.Millisecond)...)
		urgent := false
		for len(w.arriving) > 0 && w.arriving[0].arrival <= w.now {
			p := w.arriving[0]
			w.arriving = w.arriving[1:]
			r.expected += int(p.number-next) + 1
			r.lost += int(p.number - next)
			next = p.number + 1
			urgent = r.take(p) || urgent
		}
		if w.now-r.reported >= time.Second || urgent && r.estimate < 0.97*r.said {
			share := 256 * r.lost / max(r.expected, 1)
			said = append(said, transit{size: int(r.estimate), number: uint16(share), arrival: w.now + w.link.delay,
				sent: 2*w.link.delay + w.link.wait(w.now)}) // the round trip
			r.reported, r.said, r.lost, r.expected = w.now, r.estimate, 0, 0
		}
		if w.now%(20*time.Millisecond) == 0 {
			w.samples = append(w.samples, sample{w.now, w.e.Target(), w.link.wait(w.now), w.e.Queue(w.clock()), w.layer})
		}
	}
}

// rises is the longest time until a layer that fits is reached from below.
func (w *world) rises(fits [3]int) (longest time.Duration) {
	since := time.Duration(-1)
	for _, s := range w.samples {
		fit := fits[min(int(s.at/phase), len(fits)-1)]
		switch {
		case s.layer >= fit:
			since = -1
		case since < 0:
			since = s.at
		default:
			longest = max(longest, s.at-since)
		}
	}
	return longest
}

// TestREMB compares the kinds of feedback on the same links. Without transport-cc too, the layer that fits is reached
// within 15 s, and a layer that does not fit is left.
func TestREMB(t *testing.T) {
	for _, c := range []struct {
		name  string
		link  link
		layer [3]int // at the end of each phase
	}{
		{"steady, 1 Mbit/s", link{rate: constant(1e6)}, [3]int{1, 1, 1}},
		{"steady, 4 Mbit/s", link{rate: constant(4e6)}, [3]int{2, 2, 2}},
		{"step down", link{rate: steps(4e6, 4e6, 400e3)}, [3]int{2, 2, 0}},
		{"step up", link{rate: steps(400e3, 4e6, 4e6)}, [3]int{0, 2, 2}},
		{"3 % loss", link{rate: constant(2e6), loss: 0.03}, [3]int{1, 1, 1}},
		{"bufferbloat", link{rate: steps(4e6, 4e6, 400e3), queue: time.Second}, [3]int{2, 2, 0}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, what := range []string{"transport-cc", "REMB", "reports alone"} {
				l := c.link
				w := newWorld(t, &l)
				if i == 0 {
					w.run(3 * phase)
				} else {
					w.withREMB(3*phase, i == 1)
				}
				for n := range 3 {
					from, to := time.Duration(n)*phase, time.Duration(n+1)*phase
					least, mean, most := w.between(from+phase/2, to)
					layer := w.samples[int(to/(20*time.Millisecond))-1].layer
					t.Logf("phase %d, %s: target %.0f kbit/s (%.0f to %.0f), layer %d, queue up to %v, then %v", n, what, mean/1e3,
						least/1e3, most/1e3, layer, w.longestQueue(from, from+time.Second).Round(ms),
						w.longestQueue(from+time.Second, to).Round(ms))
					if layer > c.layer[n] || layer < c.layer[n] && (i == 0 || n == 2) {
						t.Errorf("phase %d, %s: layer %d is sent, want %d", n, what, layer, c.layer[n])
					}
				}
				if took := w.rises(c.layer); took > 15*time.Second {
					t.Errorf("%s: it takes %v to go up", what, took)
				}
				t.Logf("%s: at most %v to go up, %d kB of padding", what, w.rises(c.layer), w.extra/1000)
			}
		})
	}
}
