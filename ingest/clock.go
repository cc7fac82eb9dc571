package ingest

import "time"

// clockStep is the drift of a broadcaster's clock against ours from which on the clock counts as having been set.
const clockStep = 10 * time.Second

// clock converts the broadcaster's time of day to ours by one constant for all its tracks, so that they stay in sync
// with each other.
type clock struct {
	known  bool
	offset time.Duration
}

// wall returns our time for the NTP timestamp of a sender report that arrived at now.
func (c *clock) wall(ntp uint64, now time.Time) time.Time {
	theirs := ntpTime(ntp)
	ours := theirs.Add(c.offset)
	if d := ours.Sub(now); !c.known || d > clockStep || d < -clockStep {
		c.known, c.offset = true, now.Sub(theirs)
		ours = now
	}
	return ours
}

// ntpTime converts seconds since 1900, in 32.32 bits (RFC 3550 section 4).
func ntpTime(ntp uint64) time.Time {
	const to1970 = 2208988800
	seconds := int64(ntp>>32) - to1970
	nanos := int64((ntp & 0xffffffff) * 1e9 >> 32)
	return time.Unix(seconds, nanos)
}
