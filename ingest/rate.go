package ingest

import "time"

// rate is a token bucket that bounds what one broadcast may send, in bytes or in packets. It holds a second's worth.
type rate struct {
	limit  int // per second; 0: unbounded
	credit float64
	at     time.Time // when credit was updated
	over   time.Time // when a packet was last refused
}

// admits reports whether n more are within the bound, and counts them if they are.
func (r *rate) admits(n int, now time.Time) bool {
	if r.limit == 0 {
		return true
	}
	if r.at.IsZero() {
		r.credit = float64(r.limit)
	} else if passed := now.Sub(r.at); passed > 0 {
		r.credit = min(float64(r.limit), r.credit+passed.Seconds()*float64(r.limit))
	}
	r.at = now
	if r.credit < float64(n) {
		r.over = now
		return false
	}
	r.credit -= float64(n)
	return true
}
