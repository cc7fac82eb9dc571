// Package monotonic turns times into numbers that can be compared although somebody sets the clock of the machine. The
// numbers of package time lose the monotonic reading that comes with a time.
package monotonic

import "time"

var start = time.Now()

// Nanos is t in nanoseconds, by the clock as it was when the process started: t.UnixNano() if nobody has set the clock
// since, or if t has no monotonic reading.
func Nanos(t time.Time) int64 { return start.UnixNano() + int64(t.Sub(start)) }
