package bwe

import (
	"testing"
	"time"
)

const ms = time.Millisecond

const phase = 10 * time.Second

// steps is a link whose rate changes after each phase.
func steps(rates ...float64) func(time.Duration) float64 {
	return func(at time.Duration) float64 { return rates[min(int(at/phase), len(rates)-1)] }
}

// known is up to what rate a link's rate can be known: nobody asks for more.
var known = float64(layers[len(layers)-1]+audioRate) * headroom

// TestTarget holds that the target is within 20 % of what the link carries from five seconds after a change on.
func TestTarget(t *testing.T) {
	for name, l := range map[string]link{
		"steady, 400 kbit/s":          {rate: constant(400e3)},
		"steady, 800 kbit/s":          {rate: constant(800e3)},
		"steady, 1 Mbit/s":            {rate: constant(1e6)},
		"steady, 2 Mbit/s":            {rate: constant(2e6)},
		"steady, 3 Mbit/s":            {rate: constant(3e6)},
		"step down":                   {rate: steps(3e6, 400e3)},
		"step down between layers":    {rate: steps(2e6, 800e3)},
		"step down on a long path":    {rate: steps(3e6, 400e3), queue: 500 * ms, delay: 150 * ms},
		"step up":                     {rate: steps(400e3, 3e6)},
		"step up between layers":      {rate: steps(800e3, 2e6)},
		"step down and up":            {rate: steps(3e6, 400e3, 3e6)},
		"3 % loss, 1 Mbit/s":          {rate: constant(1e6), loss: 0.03},
		"3 % loss, 2 Mbit/s":          {rate: constant(2e6), loss: 0.03},
		"bufferbloat":                 {rate: constant(1e6), queue: time.Second},
		"bufferbloat after step down": {rate: steps(3e6, 400e3), queue: time.Second},
		"jitter":                      {rate: constant(2e6), jitter: 20 * ms},
		"short queue, 1 Mbit/s":       {rate: constant(1e6), queue: 30 * ms},
		"short queue, 2.3 Mbit/s":     {rate: constant(2.3e6), queue: 30 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, &l)
			w.run(3 * phase)
			w.checkTarget(0, 3)
		})
	}
}

// checkTarget checks the second half of each phase.
func (w *world) checkTarget(from, to int) {
	w.t.Helper()
	for i := from; i < to; i++ {
		begin := time.Duration(i) * phase
		right := min(w.link.rate(begin), known)
		least, mean, most := w.between(begin+phase/2, begin+phase)
		w.t.Logf("phase %d: %.0f kbit/s, target %.0f (%.0f to %.0f), queue up to %v in the first second, then %v",
			i, right/1e3, mean/1e3, least/1e3, most/1e3, w.longestQueue(begin, begin+time.Second).Round(ms),
			w.longestQueue(begin+time.Second, begin+phase).Round(ms))
		if least < 0.8*right || most > 1.2*right {
			w.t.Errorf("phase %d: the target is %.0f to %.0f kbit/s, want %.0f within 20 %%",
				i, least/1e3, most/1e3, right/1e3)
		}
	}
}
