package egress

import (
	"slices"
	"sync/atomic"
	"time"

	"siaran"
)

// wishes is where a viewer's choice waits for its worker, which looks at every tick, and where the worker says what the
// viewer gets. However often a viewer changes its mind, that costs its worker nothing.
type wishes struct {
	choice  atomic.Pointer[siaran.LayerChoice] // nil: automatic
	viewing atomic.Pointer[siaran.Viewing]     // nil: the viewer is not connected yet
}

// chosen is the newest choice.
func (w *wishes) chosen() siaran.LayerChoice {
	if c := w.choice.Load(); c != nil {
		return *c
	}
	return siaran.LayerChoice{}
}

// say publishes what the viewer gets, if that is news.
func (w *wishes) say(v siaran.Viewing) {
	if old := w.viewing.Load(); old == nil || *old != v {
		w.viewing.Store(&v)
	}
}

// Choose says what a session's viewer wants to get from now on. It fails with ErrUnknownSession, and with
// ErrUnacceptable if the stream has no such layer.
func (s *Server) Choose(id siaran.SessionID, c siaran.LayerChoice) error {
	sess, err := s.find(id)
	if err != nil {
		return err
	}
	if err := c.Check(sess.broadcast.Video()); err != nil {
		return err
	}
	sess.wishes.choice.Store(&c)
	return nil
}

// Viewing says what a session's viewer gets now. It fails with ErrUnknownSession.
func (s *Server) Viewing(id siaran.SessionID) (siaran.Viewing, error) {
	sess, err := s.find(id)
	if err != nil {
		return siaran.Viewing{}, err
	}
	return sess.viewing(), nil
}

func (s *session) viewing() siaran.Viewing {
	if v := s.wishes.viewing.Load(); v != nil {
		return *v
	}
	return siaran.Viewing{Automatic: s.wishes.chosen().Automatic(), Reason: siaran.ViewingStarting}
}

// choose takes the viewer's choice for a video track.
func (t *track) choose(c siaran.LayerChoice) {
	t.choice = c
	if t.muted && !c.AudioOnly {
		t.cursor = -1
	}
	if t.muted = c.AudioOnly; t.muted && t.sel != nil {
		t.sel.probe = 0
	}
}

// viewing says what the viewer gets of a video track.
func (t *track) viewing(now time.Time) siaran.Viewing {
	v := siaran.Viewing{RID: t.layer.RID(), Automatic: t.choice.Automatic()}
	v.Width, v.Height = t.layer.Size()
	thin := t.gate.keyframesOnly
	if s := t.sel; s != nil {
		v.Target = s.estimate.Target() / targetStep * targetStep
		v.Spatial, v.Temporal = s.sends(t.shared)
		if w, h := t.spatialSize(t.layer, v.Spatial); w > 0 {
			v.Width, v.Height = w, h
		}
		thin = s.thinned()
	}
	switch {
	case t.muted, t.sel != nil && t.sel.given.extent == noFrames && t.sent > 0:
		v = siaran.Viewing{Reason: siaran.ViewingSound, Target: v.Target, Automatic: v.Automatic}
	case t.cursor < 0:
		v.Reason = siaran.ViewingStarting
	case t.lacksChosen() || v.Automatic && t.misses(now):
		v.Reason = siaran.ViewingSilent
	case thin:
		v.Reason = siaran.ViewingBandwidth
	case !v.Automatic:
		v.Reason = siaran.ViewingChosen
	default:
		v.Reason = siaran.ViewingBest
	}
	return v
}

// targetStep is how finely a viewer's bandwidth is shown, in bits a second, so that it is news only now and then.
const targetStep = 50_000

// misses reports whether a larger layer than the one that is sent is silent.
func (t *track) misses(now time.Time) bool {
	for _, l := range t.Layers {
		if area(l) > area(t.layer) && !t.alive(l, now) {
			return true
		}
	}
	return false
}

// lacksChosen reports whether the viewer does not get what it has chosen though the stream has it. If every layer is
// larger than it wants, it has chosen the smallest.
func (t *track) lacksChosen() bool {
	return !t.wants(t.layer) && slices.ContainsFunc(t.Layers, func(l *siaran.Layer) bool {
		return t.wants(l) || area(l) < area(t.layer)
	})
}

// wants reports whether a layer is within the viewer's choice. With spatial layers, the smallest of them counts.
func (t *track) wants(l *siaran.Layer) bool {
	if t.choice.RID != "" {
		return l.RID() == t.choice.RID
	}
	if w, h := t.spatialSize(l, 0); w > 0 {
		return t.fits(w, h)
	}
	return t.fits(l.Size())
}

// spatialSize is the size of a spatial layer, 0 and 0 when it is not known, or nothing to a viewer who gets it whole.
func (t *track) spatialSize(l *siaran.Layer, spatial int) (width, height int) {
	if t.DescriptorID == 0 && l.Apart() {
		return 0, 0
	}
	return l.SpatialSize(spatial)
}

// fits reports whether a size is within the viewer's choice.
func (t *track) fits(w, h int) bool {
	return (t.choice.MaxWidth == 0 || w <= t.choice.MaxWidth) && (t.choice.MaxHeight == 0 || h <= t.choice.MaxHeight)
}

// better reports whether a viewer would rather have l than other: the largest layer of its choice, else the largest
// below, else the smallest.
func (t *track) better(l, other *siaran.Layer) bool {
	if a, b := t.wants(l), t.wants(other); a != b {
		return a
	}
	if t.wants(l) {
		return area(l) > area(other)
	}
	limit := t.limit()
	if a, b := area(l) <= limit, area(other) <= limit; a != b {
		return a
	}
	if area(l) <= limit {
		return area(l) > area(other)
	}
	return area(l) < area(other)
}

// limit is the size in pixels that the choice asks for.
func (t *track) limit() int {
	for _, l := range t.Layers {
		if t.choice.RID != "" && l.RID() == t.choice.RID {
			return area(l)
		}
	}
	return 0
}
