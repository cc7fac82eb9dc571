package egress

import (
	"slices"
	"time"

	"siaran"
)

const (
	// A viewer goes up at a key frame that is at most this old: what lies between it and the live edge is shown again.
	youngKeyframe = 300 * time.Millisecond
	// It goes down to an older one if what has come since is sent in this time; later to any.
	catchUpTime = 500 * time.Millisecond
	// How long the broadcaster has for a key frame of the layer below before the cached one is taken.
	downTime = 500 * time.Millisecond

	// A viewer that gets key frames only, or lacks a layer, has the broadcaster asked for a key frame if the newest is
	// older than this: it costs all viewers.
	rareKeyframe = 5 * time.Second
	// The clocks of two layers differ from what their arrivals say by less.
	clockTrust = 500 * time.Millisecond
)

// decide looks at the layers and the path, and sets what the viewer is to get.
func (t *track) decide(w *worker, now time.Time) {
	s := t.sel
	s.ladder.n = 0
	t.buildLadder(w, now)
	if s.ladder.n == 0 {
		return // nothing is being sent
	}
	p := path{
		carries: s.estimate.Target() - s.soundRate(), queue: s.estimate.Queue(now), late: now.Sub(s.late) < firstStay,
	}
	before := s.aim
	next, probe := s.climber.choose(&s.ladder, s.aim, p, now)
	s.probe = 0
	if probe > 0 {
		s.probe = probe + s.soundRate()
	}
	if !next.same(before) {
		s.late = time.Time{}
		if place(s.ladder.list(), next) < place(s.ladder.list(), before) {
			s.climber.rises(now)
		}
		s.since = now
	}
	s.aim = next
	t.layer.Need()
	next.layer.Need()
	t.pursue(w, now)
}

// buildLadder adds the layers that are alive and within the viewer's choice, the largest first.
func (t *track) buildLadder(w *worker, now time.Time) {
	var fit [maxRungs]*siaran.Layer
	n := 0
	var spare *siaran.Layer // if none is within the choice
	for _, l := range t.Layers {
		if n == len(fit) || !t.alive(l, now) {
			continue
		}
		if spare == nil || t.better(l, spare) {
			spare = l
		}
		if !t.wants(l) {
			continue
		}
		at := n
		for ; at > 0 && area(fit[at-1]) < area(l); at-- {
			fit[at] = fit[at-1]
		}
		fit[at] = l
		n++
	}
	if n == 0 && spare != nil {
		fit[0], n = spare, 1
	}
	for i, l := range fit[:n] {
		f := w.layers[l]
		t.sel.ladder.addLayer(l, t.sel.rates(f), f.rate, t.limits(l), i == n-1)
	}
}

// limits are those of the viewer's choice within a layer.
func (t *track) limits(l *siaran.Layer) limits {
	m := limits{siaran.MaxSpatial - 1, siaran.MaxTemporal - 1}
	for _, n := range []*int{t.choice.Spatial, t.choice.MaxSpatial} {
		if n != nil {
			m.spatial = min(m.spatial, uint8(*n))
		}
	}
	for _, n := range []*int{t.choice.Temporal, t.choice.MaxTemporal} {
		if n != nil {
			m.temporal = min(m.temporal, uint8(*n))
		}
	}
	for ; m.spatial > 0; m.spatial-- {
		w, h := t.spatialSize(l, int(m.spatial))
		if w > 0 && t.fits(w, h) {
			break
		}
		if w == 0 && t.choice.MaxWidth == 0 && t.choice.MaxHeight == 0 {
			break
		}
	}
	return m
}

// rates are those of the layers within one, none where the viewer gets it whole.
func (s *selector) rates(f *layerCursor) *siaran.LayerRates {
	if s.whole && f.layer.Apart() {
		return new(siaran.LayerRates)
	}
	return &f.rates
}

// thinned reports whether the path is why the viewer does not get the best that there is.
func (s *selector) thinned() bool { return s.ladder.n > 0 && place(s.ladder.list(), s.given) > 0 }

// sends returns the highest spatial and temporal layers that are sent of a layer.
func (s *selector) sends(f *layerCursor) (spatial, temporal int) {
	rates := s.rates(f)
	for i := range rates {
		for j := range rates[i] {
			if rates[i][j] > 0 && i <= int(s.spatial) && j <= int(s.temporal) {
				spatial, temporal = max(spatial, i), max(temporal, j)
			}
		}
	}
	return spatial, temporal
}

// pursue goes after what is wanted: to another layer at a key frame of it, which the broadcaster is asked for.
func (t *track) pursue(w *worker, now time.Time) {
	s := t.sel
	to := s.aim.layer
	if t.sent == 0 {
		t.use(w, to)
	}
	s.given = t.meanwhile(w)
	keyframe, ok := to.Keyframe()
	p := to.Get(keyframe)
	if to == t.layer && t.cursor < 0 {
		return
	}
	if to == t.layer && !(s.waiting && s.given.extent == wholeFrames) {
		if p != nil && t.needsKeyframe(now.Sub(p.Arrival), now) {
			to.RequestKeyframe()
		}
		return
	}
	if ok && p != nil && t.mayBegin(now.Sub(p.Arrival), now) {
		t.switchTo(w, to, now)
	} else if !s.paused || s.since.Equal(now) {
		to.RequestKeyframe()
	}
}

// catch switches to the layer that is wanted as soon as there is a key frame of it.
func (t *track) catch(w *worker, now time.Time) {
	to := t.sel.aim.layer
	if to == t.layer || t.sent == 0 {
		return
	}
	keyframe, ok := to.Keyframe()
	if p := to.Get(keyframe); ok && p != nil && t.mayBegin(now.Sub(p.Arrival), now) {
		t.switchTo(w, to, now)
	}
}

// hears decides at once if feedback says that the path carries less than is sent.
func (t *track) hears(w *worker, now time.Time) {
	s := t.sel
	if carries := s.estimate.Target() - s.soundRate(); !t.muted && s.aim.extent == wholeFrames && s.ladder.n > 0 &&
		float64(carries) < enough*float64(s.aim.rate) {
		t.decide(w, now)
	}
}

// needsKeyframe reports whether a viewer that stays with its layer, whose newest key frame has this age, needs another:
// at once for a higher spatial layer, and after a while if it gets key frames only, or if the encoder gives no place
// from which on a layer that it is to have can be taken.
func (t *track) needsKeyframe(age time.Duration, now time.Time) bool {
	s := t.sel
	spatial, temporal := t.lacks()
	if spatial && s.since.Equal(now) {
		return true
	}
	waits := (spatial || temporal) && now.Sub(s.since) > rareKeyframe
	return age > rareKeyframe && (s.given.extent == keyFrames || waits)
}

// lacks reports whether a viewer does not get spatial or temporal layers that it is to have.
func (t *track) lacks() (spatial, temporal bool) {
	s := t.sel
	rates := s.rates(t.shared)
	for i := range rates {
		for j := range rates[i] {
			if rates[i][j] > 0 {
				spatial = spatial || i > int(s.spatial) && i <= int(s.given.spatial)
				temporal = temporal || j > int(s.temporal) && j <= int(s.given.temporal)
			}
		}
	}
	return spatial, temporal
}

// meanwhile is what is sent of the present layer until there is a key frame of the one wanted: all of it on the way up,
// and on the way down as much as the path carries.
func (t *track) meanwhile(w *worker) rung {
	s := t.sel
	if s.aim.layer == t.layer {
		return s.aim
	}
	r := rung{layer: t.layer, spatial: siaran.MaxSpatial - 1, temporal: siaran.MaxTemporal - 1}
	if !t.descends() {
		return r
	}
	f := w.layers[t.layer]
	r.spatial, r.temporal = 0, 0
	if r.rate = rateUpTo(s.rates(f), f.rate, 0, 0); r.rate > s.estimate.Target()-s.soundRate() {
		r.extent = noFrames
	}
	return r
}

// descends reports whether a smaller layer is wanted than is sent.
func (t *track) descends() bool { return area(t.sel.aim.layer) < area(t.layer) }

// mayBegin reports whether a viewer begins with a key frame of this age.
func (t *track) mayBegin(age time.Duration, now time.Time) bool {
	s := t.sel
	if s.paused {
		return false
	}
	if age <= youngKeyframe {
		return true
	}
	if t.alive(t.layer, now) && !t.descends() && !s.waiting {
		return false
	}
	bits := age.Seconds() * float64(s.aim.rate)
	return now.Sub(s.since) > downTime && age <= oldGroup ||
		t.layer != s.aim.layer && bits <= catchUpTime.Seconds()*float64(s.estimate.Target())
}

// switchTo makes the viewer continue with another layer, or again with this one, from its newest key frame.
func (t *track) switchTo(w *worker, to *siaran.Layer, now time.Time) {
	if to != t.layer {
		t.time.follow(distance(t.layer, to, now, t.ClockRate))
	}
	t.use(w, to)
	t.sel.given = t.sel.aim
	t.cursor = -1
}

func (t *track) use(w *worker, l *siaran.Layer) {
	t.layer, t.shared, t.index = l, w.layers[l], uint8(slices.Index(t.Layers, l))
}

// distance is what has to be added to a layer's timestamps for them to continue another one's. The clocks of layers say
// it exactly; but if they say something that cannot be, the arrivals count.
func distance(from, to *siaran.Layer, now time.Time, rate uint32) int64 {
	old, known := from.Clock()
	fresh, known2 := to.Clock()
	exact := old.TimestampAt(now, rate) - fresh.TimestampAt(now, rate)
	a, b := from.Get(from.Head()-1), to.Get(to.Head()-1)
	if a == nil || b == nil {
		return exact
	}
	rough := a.Timestamp - b.Timestamp + int64(b.Arrival.Sub(a.Arrival).Seconds()*float64(rate))
	if off := exact - rough; !known || !known2 || max(off, -off) > int64(clockTrust.Seconds()*float64(rate)) {
		return rough
	}
	return exact
}
