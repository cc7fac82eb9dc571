package egress

import (
	"time"

	"siaran"
)

// jumpAhead skips to a newer key frame.
func (t *track) jumpAhead() {
	keyframe, ok := t.layer.Keyframe()
	if t.Kind == siaran.KindAudio {
		if t.cursor < t.layer.Tail() {
			t.cursor = max(keyframe, 0)
			if !t.asItIs {
				t.seq.jump(t.layer, t.cursor)
			}
		}
		return
	}
	if !ok || keyframe <= t.cursor || !t.catching && t.layer.Head()-t.cursor <= maxBehind {
		return
	}
	t.catching, t.opening = true, true
	t.cursor = keyframe
	t.begin(keyframe)
}

// begin says that a key frame with this number is sent next.
func (t *track) begin(keyframe int64) {
	switch {
	case t.sel != nil:
		t.sel.restart()
	case !t.asItIs:
		t.jump(keyframe)
	}
}

// jump makes in the next packet. A frame that has not gone out whole leaves a gap in the numbers, so that a viewer does
// not take it for a whole one.
func (t *track) jump(in int64) {
	if t.cut {
		t.seq.next++
	}
	t.seq.jump(t.layer, in)
}

// keep reports whether a viewer that gets key frames only gets this packet. The timestamp says which packets belong to
// a key frame, as some encoders set the marker bit inside it.
func (t *track) keep(p *siaran.Packet) bool {
	if p.Keyframe && !(t.inKey && p.Timestamp == t.key) {
		t.inKey, t.key = true, p.Timestamp
		t.jump(p.Seq)
		if t.gate.leave() {
			t.inKey = false
			return true
		}
	}
	t.inKey = t.inKey && p.Timestamp == t.key
	return t.inKey
}

// wantKeyframe handles the viewer's request for a key frame: the broadcaster is asked, and if it does not answer in
// time, the cached key frame is sent again (see tick).
func (t *track) wantKeyframe(w *worker, now time.Time) {
	if t.muted {
		return
	}
	w.stats.asked.Add(1)
	if !t.layer.RequestKeyframe() {
		w.stats.merged.Add(1)
	}
	if t.wanted.IsZero() {
		t.wanted = now
	}
}

// tick does what is due by time alone.
func (t *track) tick(w *worker, now time.Time) {
	if t.sel != nil && !t.muted {
		t.decide(w, now)
	}
	if t.wanted.IsZero() || t.asItIs {
		return
	}
	if stopped, sure := t.followed(); sure && t.wanted.After(stopped) {
		if now.Sub(stopped) > silentLayer {
			t.wanted = time.Time{} // it asks only because nothing comes, as browsers do
		}
		return
	}
	if now.Sub(t.wanted) < answerTime || now.Sub(t.restarted) < restartInterval || t.catching {
		return
	}
	if t.repeats >= maxRepeatedStarts && t.layer.Head() == t.stood {
		return
	}
	t.cursor = -1
}

// followed is when the newest packet has come, and whether it is sure that a viewer has followed the picture until
// then: it was not just started, and has missed no packet of late. It is not sure where that does not matter, because
// no more than a few seconds would be seen again.
func (t *track) followed() (until time.Time, sure bool) {
	keyframe, _ := t.layer.Keyframe()
	first, newest := t.layer.Get(keyframe), t.layer.Get(t.layer.Head()-1)
	if first == nil || newest == nil || newest.Arrival.Sub(first.Arrival) < oldGroup {
		return until, false
	}
	lately := newest.Arrival.Add(-silentLayer)
	return newest.Arrival, t.restarted.Before(lately) && t.missed.Before(lately)
}
