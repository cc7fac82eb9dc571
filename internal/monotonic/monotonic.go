// Package monotonic turns times into numbers that can be compared although somebody sets the clock of the machine. The
// numbers of package time lose the monotonic reading that comes with a time.
package monotonic

import "time"

var start = time.Now()

// Nanos is t in nanoseconds, by the clock that the process has started with: as t.UnixNano() if nobody has set it since.
// Of a time without a monotonic reading it is t.UnixNano().
func Nanos(t time.Time) int64 { return start.UnixNano() + int64(t.Sub(start)) }
