package egress

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	heavyLoss = 64 // of 256: more than a quarter
	// Less than an eighth of 256: what a bad radio link always loses must not keep a viewer on key frames.
	lightLoss = 32
	windows   = 2 // in a row, before anything changes
	// A viewer that has gone back to everything in vain waits for twice as many windows the next time.
	mostWindows  = 16
	provenWindow = 10 // after so many it was not in vain

	// A round trip that is longer than usual by this much means a queue that grows, or one that is gone.
	heavyQueue, lightQueue = 250 * time.Millisecond, 100 * time.Millisecond
	usualShare             = 64 // by this part of the difference a longer round trip becomes the usual one in a window

	lossWindow  = time.Second
	lossPackets = 16 // fewer in a window mean nothing
)

// lossGate decides from a viewer's receiver reports (RFC 3550 section 6.4.1) when its path is overwhelmed, so that it
// gets only key frames until the path has recovered. It is for videos that have nothing to choose.
//
// The fraction lost in a report covers the time since the previous report. Browsers send one with every negative
// acknowledgement, so one lost packet of three would count as a third. Losses are counted over a window instead.
type lossGate struct {
	keyframesOnly bool
	leaving       bool
	count         int
	needed        int           // windows in a row until everything is sent again; 0: it was never less
	passed        int           // windows since everything is sent again
	usual         time.Duration // round trip; 0: not known yet

	since         time.Time // when the window began; zero: there was no report
	highest, lost uint32    // as reported at that time
}

// report takes a report. It returns the share of packets lost, in 256ths, if the report ends a window, and otherwise
// -1.
func (t *lossGate) report(r rtcp.ReceptionReport, now time.Time) int {
	expected := int64(int32(r.LastSequenceNumber - t.highest))
	lost := int64(int32((r.TotalLost-t.lost)<<8) >> 8) // 24 bits with a sign
	fresh := t.since.IsZero() || expected < 0
	if !fresh && (now.Sub(t.since) < lossWindow || expected < lossPackets) {
		return -1
	}
	t.since, t.highest, t.lost = now, r.LastSequenceNumber, r.TotalLost
	if fresh {
		return -1
	}
	return int(min(max(lost, 0)*256/expected, 256))
}

// decide takes the share of packets lost in a window, in 256ths, and the round trip; 0: it is not known.
func (t *lossGate) decide(share int, roundTrip time.Duration) {
	queue := t.queue(roundTrip)
	turn := share > heavyLoss || queue > heavyQueue
	needed := windows
	if t.keyframesOnly {
		turn = share < lightLoss && queue < lightQueue
		needed = max(needed, t.needed)
	} else {
		t.passed++
	}
	if !turn {
		t.count, t.leaving = 0, false
		return
	}
	t.count++
	if t.count < needed {
		return
	}
	t.count = 0
	if t.keyframesOnly {
		t.leaving = true
		return
	}
	if t.needed == 0 || t.passed >= provenWindow {
		t.needed = windows
	} else {
		t.needed = min(2*t.needed, mostWindows)
	}
	t.keyframesOnly, t.passed = true, 0
}

// queue is by how much a round trip is longer than usual.
func (t *lossGate) queue(roundTrip time.Duration) time.Duration {
	if roundTrip == 0 {
		return 0
	}
	if t.usual == 0 || roundTrip < t.usual {
		t.usual = roundTrip
	}
	t.usual += (roundTrip - t.usual) / usualShare
	return roundTrip - t.usual
}

// leave is called at a key frame. It reports whether everything is sent again from here on.
func (t *lossGate) leave() bool {
	if t.leaving {
		t.keyframesOnly, t.leaving = false, false
		return true
	}
	return false
}
