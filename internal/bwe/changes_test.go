package bwe

import (
	"testing"
	"time"
)

// TestOutage holds that a dead path is noticed without any feedback, and that the top layer comes back.
func TestOutage(t *testing.T) {
	l := link{rate: func(at time.Duration) float64 {
		if at >= 10*time.Second && at < 15*time.Second {
			return 0
		}
		return 4e6
	}}
	w := newWorld(t, &l)
	w.run(10*time.Second + 600*ms)
	if q := w.e.Queue(w.clock()); q < 200*ms {
		t.Errorf("600 ms after the path was cut, a queue of %v is seen", q)
	}
	w.run(3 * time.Second)
	if w.layer != 0 {
		t.Errorf("3 s after the path was cut, layer %d is sent", w.layer)
	}
	w.run(11*time.Second + 400*ms)
	if w.layer != 2 {
		t.Errorf("10 s after the path is back, layer %d is sent", w.layer)
	}
}

// TestSwings holds that a link that swings freezes the picture for less than 1 % of the time.
func TestSwings(t *testing.T) {
	l := link{rate: func(at time.Duration) float64 {
		if at/(5*time.Second)%2 == 0 {
			return 3e6
		}
		return 500e3
	}}
	w := newWorld(t, &l)
	w.run(2 * time.Minute)
	t.Logf("stopped for %v, queue up to %v", w.stopped, w.longestQueue(0, w.now))
	if w.stopped > w.now/100 {
		t.Errorf("the picture stood still for %v of %v", w.stopped, w.now)
	}
}

// TestBursts is about links that let bursts pass which they do not carry for long. Trains of packets mislead about
// these, so trials must end early and become rare.
func TestBursts(t *testing.T) {
	l := link{rate: constant(1e6), bucket: 32 << 10}
	w := newWorld(t, &l)
	w.run(time.Minute)
	least, mean, most := w.between(10*time.Second, w.now)
	t.Logf("target %.0f (%.0f to %.0f), stopped for %v", mean, least, most, w.stopped)
	if w.stopped > w.now/50 {
		t.Errorf("the picture stood still for %v of %v", w.stopped, w.now)
	}
	if w.layer != 1 {
		t.Errorf("layer %d is sent, want 1", w.layer)
	}
}

// TestWorseFeedback is about feedback that has suffered itself.
func TestWorseFeedback(t *testing.T) {
	var held []byte
	reports := 0
	for name, change := range map[string]func(*world){
		"a fifth lost": func(w *world) { w.feedbackLoss = 0.2 },
		"each twice":   func(w *world) { w.mangle = func(b []byte) [][]byte { return [][]byte{b, b} } },
		"some overtaken by the next": func(w *world) {
			w.mangle = func(b []byte) (list [][]byte) {
				if reports++; reports%5 == 0 {
					held = b
					return nil
				}
				list = [][]byte{b}
				if held != nil {
					list, held = append(list, held), nil
				}
				return list
			}
		},
		"a fast clock": func(w *world) { w.skew = 200e-6 },
		"a slow clock": func(w *world) { w.skew = -200e-6 },
	} {
		t.Run(name, func(t *testing.T) {
			held = nil
			w := newWorld(t, &link{rate: steps(2e6, 400e3, 3e6)})
			change(w)
			w.run(6 * phase)
			w.checkTarget(0, 2)
			w.checkTarget(3, 6) // trials whose feedback is lost take place again
		})
	}
}

// TestLossAfterLong holds that losses count after more packets than half of the numbers.
func TestLossAfterLong(t *testing.T) {
	l := link{rate: constant(4e6)}
	w := newWorld(t, &l)
	w.run(2 * time.Minute)
	if n := w.e.history.next; n < 1<<15 {
		t.Fatalf("only %d packets", n)
	}
	before := w.e.Target()
	l.loss = 0.3
	w.run(3 * time.Second)
	if w.e.Target() > before*2/3 {
		t.Errorf("the target is %d with a loss of 30 %%, and was %d", w.e.Target(), before)
	}
}

// TestNothingIsSent holds that a queue ends by time alone: who waits for it to end may send nothing until then.
func TestNothingIsSent(t *testing.T) {
	for _, dead := range []bool{false, true} { // nothing is heard of what was sent last
		w := newWorld(t, &link{rate: steps(4e6, 100e3), queue: 3 * time.Second})
		w.run(phase + 900*ms)
		if q := w.e.Queue(w.clock()); q < 300*ms {
			t.Fatalf("a queue of %v", q)
		}
		w.blind = dead
		w.silent = true
		w.run(5 * time.Second)
		if q := w.e.Queue(w.clock()); q > 25*ms {
			t.Errorf("dead %v: a queue of %v after nothing was sent for 5 s", dead, q)
		}
	}
}
