package ingest

import "time"

const (
	timestampJump = time.Second // a larger step against the arrival of the packets is no clock's drift
	bucketTime    = 30 * time.Second
	// Packets that have waited in a queue catch up afterwards: at least this much within this time.
	catchUp     = 100 * time.Millisecond
	catchUpTime = 3 * time.Second
)

// timing compares a layer's timestamps with the arrival of its frames. A frame is never early, so the shortest transit
// of a while (arrival minus timestamp) shows how the two clocks stand to each other, whatever the network does to
// single packets.
type timing struct {
	jumps uint64 // of the timestamps

	begun          bool
	base           time.Time     // transits are measured from it
	since          time.Time     // beginning of the present bucket
	lowest         time.Duration // transit in the present bucket
	buckets        int           // complete ones
	before, first  time.Duration // the lowest of the last complete bucket, and of the first
	beforeAt, from time.Time     // their beginnings

	looking bool
	window  time.Duration // lowest transit since the last look
	queue   time.Duration // at the last look

	newest time.Duration // transit of the newest frame
	late   time.Time     // since when frames come that are suddenly late by more than timestampJump; zero: they do not
	by     time.Duration // transit of the first of them
}

// take takes a frame. stamp is its timestamp as a duration.
func (t *timing) take(stamp time.Duration, at time.Time) {
	if t.begun && at.Sub(t.base)-stamp < t.shortest()-timestampJump { // ahead of everything before
		t.jump()
	}
	if !t.begun {
		t.begun, t.base, t.since, t.lowest, t.newest = true, at, at, -stamp, -stamp
	}
	transit := at.Sub(t.base) - stamp
	if t.stands(transit, at) {
		t.restart()
		t.take(stamp, at)
		return
	}
	if at.Sub(t.since) >= bucketTime {
		if t.buckets++; t.buckets == 1 {
			t.first, t.from = t.lowest, t.since
		}
		t.before, t.beforeAt = t.lowest, t.since
		t.since, t.lowest = at, transit
	}
	t.lowest = min(t.lowest, transit)
	if !t.looking || transit < t.window {
		t.looking, t.window = true, transit
	}
}

// stands reports whether the timestamps have stood still, as those of Chromium's sound do while it has no microphone.
// The frames are late then, as if they had waited in a queue, but they do not catch up.
func (t *timing) stands(transit time.Duration, at time.Time) bool {
	before := t.newest
	t.newest = transit
	switch {
	case t.late.IsZero() && transit-before > timestampJump:
		t.late, t.by = at, transit
	case transit < t.by-catchUp:
		t.late = time.Time{}
	}
	return !t.late.IsZero() && at.Sub(t.late) >= catchUpTime
}

// jump counts a jump, after which measuring starts over.
func (t *timing) jump() { *t = timing{jumps: t.jumps + 1} }

// restart starts measuring over because the timestamps are another source's.
func (t *timing) restart() { *t = timing{jumps: t.jumps} }

// shortest is the shortest transit of the last bucketTime at least.
func (t *timing) shortest() time.Duration {
	if t.buckets == 0 {
		return t.lowest
	}
	return min(t.lowest, t.before)
}

// behind is by how much a frame is later than the earliest ones of late.
func (t *timing) behind(stamp time.Duration, at time.Time) time.Duration {
	if !t.begun {
		return 0
	}
	return at.Sub(t.base) - stamp - t.shortest()
}

// look ends a window of the queue's measurement.
func (t *timing) look() {
	t.queue = 0
	if t.looking && t.late.IsZero() { // otherwise it is too early to say
		t.queue = t.window - t.shortest()
	}
	t.looking = false
}

// drift is by how much the timestamps have fallen behind our clock (below zero: have run ahead), and within which time;
// 0 and 0 when it is too early to say.
func (t *timing) drift() (by, within time.Duration) {
	if t.buckets < 2 {
		return 0, 0
	}
	return t.before - t.first, t.beforeAt.Sub(t.from)
}
