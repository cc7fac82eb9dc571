package egress

import (
	"time"

	"siaran"
	"siaran/internal/bwe"
)

const (
	headerSize = 12
	// A viewer at the live edge that falls further behind than this continues from the next key frame.
	maxBehind = 512 // packets
	// If the cached group of pictures is older than this, a new viewer is worth a request for a key frame.
	oldGroup = 3 * time.Second
	// How long a broadcaster has to answer a viewer's request for a key frame before the cached one is sent again.
	answerTime = 400 * time.Millisecond
	// The least time between two starts of a viewer from the cached key frame.
	restartInterval = 2 * time.Second
	// How often it is sent again while no new packet arrives: for a frozen picture some viewers ask for ever.
	maxRepeatedStarts = 2
	// A viewer is switched from a layer to another one of its track when the layer has been silent for this long, for
	// longer than usual, and others have sent some frames in the meantime.
	silentLayer  = time.Second
	slowestHabit = 4 * time.Second // longest usual time between two frames, of a still screen
	habits       = 2               // how many usual times of silence
	missedFrames = 3
)

// track is one viewer's state for one track. It belongs to the viewer's worker.
type track struct {
	plan
	layer    *siaran.Layer
	index    uint8        // of the layer, among the track's
	shared   *layerCursor // of the layer, for all of the worker's viewers
	cursor   int64        // the layer's next packet for this viewer; below 0: it waits for a key frame
	catching bool         // behind the live edge, paced
	opening  bool         // the key frame a start begins with has not gone out whole
	pacer    pacer

	seq    sequencer
	time   timeline
	rtxSeq int64   // the next one, without wraps
	log    sentLog // nil: the sequencer knows all that a repair needs
	repair repairBudget
	// From the newest receiver report (RFC 3550 section 6.4.1); 0 if unknown.
	roundTrip time.Duration

	packets, octets uint32 // as sender reports count them (RFC 3550 section 6.4.1)
	sent            uint64
	lost            lossReports

	wanted    time.Time // since when the viewer has been asking for a key frame; zero: it is not asking
	restarted time.Time
	missed    time.Time // when it last asked for packets
	stood     int64     // the layer's head when the viewer was last started
	repeats   int       // how often it was restarted with that same head
	cut       bool      // the newest packet was not the last of its frame
	gate      lossGate
	hold      hold
	inKey     bool  // within a key frame, while only those are sent
	key       int64 // its timestamp

	asItIs   bool // for a child: no packet goes out under another number or timestamp than it has in the layer
	choice   siaran.LayerChoice
	muted    bool           // nothing is sent, as the viewer or the child wants
	resumed  bool           // it was muted, and has not begun again
	sel      *selector      // nil: there is nothing to choose
	estimate *bwe.Estimator // of the viewer's path; nil: these packets do not count
	now      time.Time      // when the newest packet was sent
}

// start chooses where a viewer begins. It reports whether there is a key frame to begin with.
func (t *track) start(w *worker, now time.Time) bool {
	keyframe, ok := t.layer.Keyframe()
	if !ok {
		t.layer.RequestKeyframe()
		return false
	}
	if t.asItIs {
		return t.startAsItIs(w, keyframe, now)
	}
	t.cursor = keyframe
	t.seq.forget()   // frames may go out a second time, with other timestamps,
	t.time.follow(0) // which continue from what has been sent
	t.begin(keyframe)
	t.wanted = time.Time{}
	if t.Kind == siaran.KindAudio {
		return true
	}
	w.stats.cached.Add(1)
	t.catching, t.opening = true, true
	t.pacer.refill(now, t.rate(now), t.burst(w, now))
	t.pacer.limit(startBurst)
	t.restarted = now
	if head := t.layer.Head(); head != t.stood {
		t.stood, t.repeats = head, 0
	} else {
		t.repeats++
	}
	if p := t.layer.Get(keyframe); p != nil && now.Sub(p.Arrival) > oldGroup {
		t.layer.RequestKeyframe()
	}
	return true
}

// advance sends what is new, as far as pacing allows. It reports whether more waits for the pacer.
func (t *track) advance(w *worker, l *link, now time.Time) (paced bool) {
	if t.muted || t.cursor < 0 && !t.start(w, now) {
		return false
	}
	if t.sel != nil {
		if t.sel.pauses(now) {
			return t.cursor < t.shared.ready
		}
		t.catch(w, now)
	}
	t.jumpAhead()
	head := t.shared.ready
	video := t.Kind == siaran.KindVideo
	if video && t.cursor < head {
		t.pacer.refill(now, t.rate(now), t.burst(w, now))
	}
	for ; t.cursor < head; t.cursor++ {
		p := t.layer.Get(t.cursor)
		if p == nil {
			if t.cursor < t.layer.Tail() { // overrun
				t.cursor = -1
				w.stats.overruns.Add(1)
				return t.start(w, now)
			}
			if t.sel != nil {
				t.sel.lost = true
			}
			continue
		}
		if t.sel != nil && !t.sel.passes(p) {
			continue
		}
		if video && !t.pacer.ready() {
			if t.sel != nil && !t.catching {
				t.sel.waits(p, now)
			}
			return true
		}
		if t.sel != nil && t.sel.cannotTell(p, t.layer) {
			return true
		}
		if t.gate.keyframesOnly && !t.keep(p) {
			continue
		}
		if video {
			t.pacer.charge(len(p.Payload) + headerSize)
		}
		edge := p.Timestamp
		if t.catching {
			if newest := t.layer.Get(head - 1); newest != nil && !t.asItIs {
				edge = newest.Timestamp
			}
			t.opening = t.opening && !p.FrameEnd
		}
		t.send(w, l, p, edge, now)
	}
	t.catching = false
	return false
}

// rate is how fast packets may follow each other, in bytes a second: fast in a viewer's first key frame and at the live
// edge, slower while the viewer is brought from one to the other.
func (t *track) rate(now time.Time) int {
	if t.asItIs {
		return max(childRate, catchUp*t.shared.rate)
	}
	rate := max(minimumRate, catchUp*t.shared.rate)
	if t.opening || !t.catching {
		rate = max(startRate, catchUp*t.shared.rate)
	}
	if t.sel != nil {
		rate = min(rate, t.sel.pace(now))
	}
	return rate
}

// burst is how many bytes may go out at once.
func (t *track) burst(w *worker, now time.Time) int {
	if t.sel == nil {
		return w.burst
	}
	return min(w.burst, max(leastBurst, t.sel.pace(now)/burstShare))
}

// alive reports whether a layer is still being sent. It is if its siblings are just as slow, as with a still screen.
func (t *track) alive(l *siaran.Layer, now time.Time) bool {
	if l.Resting() {
		return true // it comes when it is needed
	}
	newest := l.Get(l.Head() - 1)
	if newest == nil {
		return false
	}
	silence := now.Sub(newest.Arrival)
	if silence < silentLayer {
		return true
	}
	times, n := l.FrameTimes()
	habit := time.Duration(0)
	for i := 1; i < n; i++ {
		habit = max(habit, min(times[i-1].Sub(times[i]), slowestHabit))
	}
	if silence < habits*habit {
		return true
	}
	for _, other := range t.Layers {
		if since, n := other.FrameTimes(); n >= missedFrames && since[missedFrames-1].After(newest.Arrival) {
			return false
		}
	}
	return true
}

func area(l *siaran.Layer) int {
	w, h := l.Size()
	return w * h
}
