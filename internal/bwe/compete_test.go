package bwe

import "testing"

// TestCompetingFlow watches beside a loss-based TCP flow that always has something to send. Half of the bottleneck is
// ours: that is what two such flows would get. A layer may need less, which the other flow then gets.
func TestCompetingFlow(t *testing.T) {
	for name, l := range map[string]link{
		"3 Mbit/s, 100 ms": {rate: constant(3e6), queue: 100 * ms},
		"3 Mbit/s, 300 ms": {rate: constant(3e6), queue: 300 * ms},
		"2 Mbit/s, 300 ms": {rate: constant(2e6), queue: 300 * ms},
		"6 Mbit/s, 200 ms": {rate: constant(6e6), queue: 200 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &l)
			w.run(phase)
			w.other = newTCP()
			fair := l.rate(0) * fairShare
			for range 6 {
				before, media := w.other.delivered, w.media
				w.run(phase)
				least, mean, most := w.between(w.now-phase/2, w.now)
				t.Logf("target %.0f kbit/s (%.0f to %.0f), layer %d; %.0f sent, %.0f by the other flow; picture stopped for %v",
					mean/1e3, least/1e3, most/1e3, w.layer, bitrate(int64(w.media-media), phase.Microseconds())/1e3,
					bitrate(int64(w.other.delivered-before), phase.Microseconds())/1e3, w.stopped)
				if mean < 0.8*fair || mean > 1.2*fair {
					t.Errorf("the target is %.0f kbit/s, want %.0f within 20 %%", mean/1e3, fair/1e3)
				}
			}
			if w.stopped > phase/10 {
				t.Errorf("the picture stood still for %v", w.stopped)
			}
		})
	}
}

// TestLongerPath holds that a path that becomes longer is not taken for a queue for long.
func TestLongerPath(t *testing.T) {
	l := link{rate: constant(4e6)}
	w := newWorld(t, &l)
	w.run(phase)
	l.delay += 100 * ms
	w.run(4 * phase)
	w.checkTarget(4, 5)
	if q := w.e.Queue(w.clock()); q > 25*ms {
		t.Errorf("a queue of %v is seen, there is none", q)
	}
}
