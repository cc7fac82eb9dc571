package egress

import (
	"sync/atomic"
	"time"

	"siaran/internal/monotonic"
)

// budget bounds how often something is done, with a burst. Any goroutine may use it.
type budget struct {
	interval time.Duration // between two times, on average
	burst    int
	next     atomic.Int64 // when the next would be due if one were taken each interval, by monotonic.Nanos
}

// take reports whether it may be done now, and counts it if so.
func (b *budget) take(now time.Time) bool {
	at := monotonic.Nanos(now)
	for {
		next := b.next.Load()
		base := max(next, at)
		if base-at > int64(b.burst-1)*int64(b.interval) {
			return false
		}
		if b.next.CompareAndSwap(next, base+int64(b.interval)) {
			return true
		}
	}
}
