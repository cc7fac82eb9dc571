package egress

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestModelNeverStuck treats a viewer badly in every way for a while: the server, the viewer, and feedback stand still
// and then catch up all at once, and the path loses almost all it carries, and packets. Whatever the estimate has come
// to, a moving picture comes back soon once all is well, and the largest layer in bounded time. So it is without sound,
// when little is left that could be reported.
func TestModelNeverStuck(t *testing.T) {
	model(t)
	var moves, tops time.Duration
	for seed := range 24 {
		random := rand.New(rand.NewPCG(uint64(seed), 9))
		some := func(most time.Duration) time.Duration { return time.Duration(random.Int64N(int64(most))) }
		carries, moving, largest := 10e6, 10*time.Second, 35*time.Second
		numbered := seed%4 != 3
		if !numbered { // there are receiver reports alone, and next to nothing to report about without a picture
			moving, largest = 25*time.Second, time.Minute
		}
		x := newWorld(t, func(time.Duration) float64 { return carries }, numbered, three()...)
		x.decoder.rough = true
		x.most = []time.Duration{100, 300, 1000, 3000}[random.IntN(4)] * time.Millisecond
		x.delay = []time.Duration{5, 25, 75}[random.IntN(3)] * time.Millisecond
		x.run(5 * time.Second)
		x.quiet = seed%2 == 0
		if random.IntN(2) == 0 {
			x.jitter = 40 * time.Millisecond
		}
		if random.IntN(3) == 0 {
			x.loss = 0.02
		}
		for end := x.now.Add(30 * time.Second); x.now.Before(end); {
			x.stands = stands{random.IntN(3) == 0, random.IntN(3) == 0, random.IntN(3) == 0}
			x.run(some([]time.Duration{time.Second / 10, time.Second, 5 * time.Second}[random.IntN(3)]))
			x.stands = stands{}
			x.run(some(time.Second))
			carries = []float64{10e6, 3e6, 0.5e6, 0.1e6, 0.001e6}[random.IntN(5)]
		}
		carries, x.jitter, x.loss = 10e6, 0, 0
		if x.quiet {
			x.quiet = random.IntN(2) == 0
		}
		what := fmt.Sprintf("%d: queues of %v, a delay of %v, quiet %v, feedback %v", seed, x.most, x.delay, x.quiet,
			numbered)
		well := x.now
		x.measure()
		for x.frames < 20 && x.now.Sub(well) < 2*time.Minute {
			x.measure()
			x.run(time.Second)
		}
		moves = max(moves, x.now.Sub(well))
		x.expect(x.now.Sub(well) <= moving, fmt.Sprintf("a moving picture within %v, %s", moving, what))
		for x.layer != 2 && x.now.Sub(well) < 2*time.Minute {
			x.run(tickInterval)
		}
		tops = max(tops, x.now.Sub(well))
		x.expect(x.now.Sub(well) <= largest, fmt.Sprintf("the largest layer within %v, %s", largest, what))
	}
	t.Logf("at most %v until the picture moves, and %v until it is the largest", moves, tops)
}
