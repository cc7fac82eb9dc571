package egress

import (
	"time"

	"siaran"
)

const (
	maxRungs = 16
	// A layer is left if less than this share of its rate is carried: rates of layers vary, and the estimate with them.
	enough = 0.9
	// What is better is tried if this many times its rate is carried...
	headroom = 1.1
	// ...which probes have to show for somewhat more, as an estimate is never quite what was tried.
	probedRoom = 1.2
	// A queue longer than this is a reason to leave a layer that the estimate does not quite cover.
	longQueue = 100 * time.Millisecond

	// How long a viewer stays before it is tried again whether its path carries more. It doubles when that was in vain.
	firstStay = time.Second
	mostStay  = 8 * time.Second
	// What went well for so long was not in vain.
	provenStay = 10 * time.Second

	leastVideo = 20_000 // bits a second with which a key frame now and then is worth sending
)

// extent is how much of a layer is sent.
type extent uint8

const (
	wholeFrames extent = iota
	keyFrames
	noFrames
)

// rung is one thing that a viewer may get of a track.
type rung struct {
	layer    *siaran.Layer
	spatial  uint8 // the highest that is sent
	temporal uint8
	extent   extent
	rate     int // bits a second
}

func (r rung) same(o rung) bool {
	r.rate = o.rate
	return r == o
}

// ladder is what a viewer may get of a track, the best first.
type ladder struct {
	rungs [maxRungs]rung
	n     int
}

func (l *ladder) add(r rung) {
	if l.n < maxRungs {
		l.rungs[l.n] = r
		l.n++
	}
}

func (l *ladder) list() []rung { return l.rungs[:l.n] }

// limits are the highest spatial and temporal layer that a viewer may get.
type limits struct{ spatial, temporal uint8 }

// addLayer adds what there is of one layer: its spatial layers, each with all its temporal layers. The lowest of the
// whole ladder is then thinned out further.
func (l *ladder) addLayer(layer *siaran.Layer, rates *siaran.LayerRates, whole int, m limits, last bool) {
	for s := min(int(m.spatial), siaran.MaxSpatial-1); s >= 0; s-- {
		if s > 0 && rates[s] == [siaran.MaxTemporal]int{} {
			continue
		}
		l.add(rung{layer: layer, spatial: uint8(s), temporal: m.temporal, rate: rateUpTo(rates, whole, uint8(s), m.temporal)})
	}
	if !last {
		return
	}
	for t := min(int(m.temporal), siaran.MaxTemporal-1); t > 0; t-- {
		if sumOf(rates, 0, uint8(t)) > sumOf(rates, 0, uint8(t-1)) {
			l.add(rung{layer: layer, temporal: uint8(t - 1), rate: rateUpTo(rates, whole, 0, uint8(t-1))})
		}
	}
	l.add(rung{layer: layer, extent: keyFrames, rate: leastVideo})
	l.add(rung{layer: layer, extent: noFrames})
}

// rateUpTo is what is sent of a layer, in bits a second. whole is the rate of all of it in bytes a second, for the time
// until its parts have been measured.
func rateUpTo(rates *siaran.LayerRates, whole int, spatial, temporal uint8) int {
	bytes := sumOf(rates, spatial, temporal)
	if bytes == 0 {
		bytes = whole
	}
	return bytes * 8 * 17 / 16 // with headers
}

func sumOf(rates *siaran.LayerRates, spatial, temporal uint8) (bytes int) {
	for s := range rates[:spatial+1] {
		for t := range rates[s][:temporal+1] {
			bytes += rates[s][t]
		}
	}
	return bytes
}

// path is what is known of a viewer's path when a rung is chosen.
type path struct {
	carries int // bits a second of video
	queue   time.Duration
	late    bool // packets have waited too long for their turn
}

// climber decides when a viewer goes up and down a ladder.
type climber struct {
	changed time.Time     // when it last went up or down
	stay    time.Duration // before it goes up
	rose    bool          // the last change was upward
}

// choose returns the rung that a viewer should have, and the rate that probes should show first, or 0. present is the
// viewer's present rung.
func (c *climber) choose(l *ladder, present rung, p path, now time.Time) (next rung, probe int) {
	rungs := l.list()
	at := place(rungs, present)
	if at < 0 { // it is not to be had any more
		c.changed = now
		return fitting(rungs, p.carries), 0
	}
	rate := float64(rungs[at].rate)
	carried := float64(p.carries)
	if carried < enough*rate || carried < rate && p.queue > longQueue || p.late {
		if below := rungs[at+1:]; len(below) > 0 {
			c.fell(now)
			return fitting(below, p.carries), 0
		}
	}
	stay := max(c.stay, firstStay)
	if present.extent != wholeFrames {
		stay = firstStay // a picture that stands is worse than one that changes
	}
	if now.Sub(c.changed) < stay || at == 0 {
		return rungs[at], 0
	}
	for _, r := range rungs[:at] {
		if carried >= headroom*float64(r.rate) {
			return r, 0
		}
	}
	if p.queue > longQueue {
		return rungs[at], 0
	}
	return rungs[at], int(probedRoom * float64(rungs[at-1].rate))
}

// rises notes that a viewer has gone up.
func (c *climber) rises(now time.Time) { c.changed, c.rose = now, true }

// fell notes that a viewer has to go down, which is in vain if it has just gone up.
func (c *climber) fell(now time.Time) {
	if c.rose && now.Sub(c.changed) < provenStay {
		c.stay = min(max(2*c.stay, 2*firstStay), mostStay)
	} else if now.Sub(c.changed) >= provenStay {
		c.stay = firstStay
	}
	c.changed, c.rose = now, false
}

func place(rungs []rung, present rung) int {
	for i, r := range rungs {
		if r.same(present) {
			return i
		}
	}
	return -1
}

// fitting is the best rung that is carried, or the last.
func fitting(rungs []rung, carries int) rung {
	for _, r := range rungs {
		if r.rate <= carries {
			return r
		}
	}
	return rungs[len(rungs)-1]
}
