package egress

import (
	"testing"
	"time"
)

// TestModelCuts holds what a cut from 10 Mbit/s to 400 kbit/s does at the worst to a viewer who gets 2.3 Mbit/s in
// frames of some 10 kB: each takes 0.2 s then. What is sent before the first feedback about the first of them comes
// stands in the queue: up to 0.1 s of media and a round trip.
func TestModelCuts(t *testing.T) {
	model(t)
	for _, c := range []struct{ trip, room, queue, low, gap time.Duration }{ // in milliseconds
		{10, 100, 150, 900, 700},
		{10, 300, 330, 1300, 500},
		{10, 1000, 650, 1100, 400},
		{10, 3000, 650, 1100, 400},
		{50, 100, 150, 900, 700},
		{50, 300, 330, 1400, 550},
		{50, 1000, 850, 1300, 400},
		{50, 3000, 850, 1300, 400},
		{150, 100, 150, 1300, 1000},
		{150, 300, 330, 1200, 750},
		{150, 1000, 1050, 2000, 750},
		{150, 3000, 1450, 2300, 500},
	} {
		var queue, low, gap time.Duration
		for n := range time.Duration(10) { // the cut meets another part of a frame, and of the time between reports
			cut := 13*time.Second + n*17*time.Millisecond
			x := newWorld(t, func(at time.Duration) float64 {
				if at > cut {
					return 400e3
				}
				return 10e6
			}, true, three()...)
			x.most, x.delay = c.room*time.Millisecond, c.trip*time.Millisecond/2
			x.run(x.start.Add(cut).Sub(x.now))
			x.measure()
			x.reaches(0, 3*time.Second)
			low = max(low, x.now.Sub(x.start)-cut)
			x.run(2 * time.Second)
			queue, gap = max(queue, x.queue), max(gap, x.gap)
		}
		row := t.Logf
		if queue > c.queue*time.Millisecond || low > c.low*time.Millisecond || gap > c.gap*time.Millisecond {
			row = t.Errorf
		}
		row("a round trip of %d ms, a queue of %d ms: queue %v, smallest layer after %v, no picture for %v",
			c.trip, c.room, queue.Round(time.Millisecond), low.Round(time.Millisecond), gap.Round(time.Millisecond))
	}
}

// TestModelFalseAlarms holds that nobody leaves the largest layer, and no picture freezes, because of what is not a
// cut.
func TestModelFalseAlarms(t *testing.T) {
	model(t)
	const stall = 300 * time.Millisecond
	for _, c := range []struct {
		name    string
		carries float64
		change  func(x *world)
		stands  stands
		gap     time.Duration
	}{
		{"nothing", 10e6, func(*world) {}, stands{}, 80},
		{"jitter of 30 ms", 10e6, func(x *world) { x.jitter = 30 * time.Millisecond }, stands{}, 120},
		{"jitter of 30 ms, 4 Mbit/s", 4e6, func(x *world) { x.jitter = 30 * time.Millisecond }, stands{}, 120},
		{"jitter of 60 ms", 10e6, func(x *world) { x.jitter = 60 * time.Millisecond }, stands{}, 150},
		{"3 % loss", 10e6, func(x *world) { x.loss = 0.03 }, stands{}, time.Hour}, // nothing is repaired here
		{"a queue of 3 s, 4 Mbit/s", 4e6, func(x *world) { x.most = 3 * time.Second }, stands{}, 80},
		{"a queue of 3 s, 3.2 Mbit/s", 3.2e6, func(x *world) { x.most = 3 * time.Second }, stands{}, 120},
		{"the viewer stands still", 10e6, func(*world) {}, stands{viewer: true}, 380},
		{"feedback stands still", 10e6, func(*world) {}, stands{reports: true}, 120},
		{"the server stands still", 10e6, func(*world) {}, stands{server: true}, 380},
	} {
		x := newWorld(t, steady(c.carries), true, three()...)
		x.run(10 * time.Second)
		x.measure()
		c.change(x)
		for range 12 {
			x.run(5 * time.Second)
			x.stands = c.stands
			x.run(stall)
			x.stands = stands{}
		}
		below := 0
		for _, l := range x.layers {
			if l != 2 {
				below++
			}
		}
		x.expect(below == 0 && x.gap < c.gap*time.Millisecond, c.name)
		t.Logf("%s: no picture for %v, a queue of %v", c.name, x.gap, x.queue)
	}
}
