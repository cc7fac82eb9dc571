package firestore

import (
	"sync"
	"time"
)

// clock is the database's time, by which the leases of all servers are written and judged, so that a server whose own
// clock is wrong, or is set while it runs, disturbs no other. Between answers of the database it advances by the
// machine's monotonic clock.
type clock struct {
	fixed func() time.Time // for tests

	mu     sync.Mutex
	anchor time.Time // the time that the database last sent
	at     time.Time // when that was by this machine, with its monotonic reading
}

func newClock(fixed func() time.Time) *clock { return &clock{fixed: fixed} }

// now is this machine's time until the database has sent its own.
func (c *clock) now() time.Time {
	if c.fixed != nil {
		return c.fixed()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.at.IsZero() {
		return time.Now().UTC()
	}
	return c.anchor.Add(time.Since(c.at))
}

// known reports whether the database has sent its time.
func (c *clock) known() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fixed != nil || !c.at.IsZero()
}

// observe takes the time from the database's answer to a request that left at sent. It ignores an answer that took so
// long that the time may be wrong by more than the margin of leases, for example because the machine was asleep: with
// such a time this server would take others for dead.
func (c *clock) observe(answered, sent time.Time) {
	if c.fixed != nil || answered.IsZero() {
		return
	}
	received := time.Now()
	if received.Sub(sent) > 2*leaseMargin || received.Round(0).Sub(sent.Round(0)) > 2*leaseMargin {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = received
	c.anchor = answered.Add(received.Sub(sent) / 2)
}

// translate converts a time of this machine's clock, not far from now, to the database's.
func (c *clock) translate(local time.Time) time.Time {
	if c.fixed != nil {
		return local
	}
	return c.now().Add(time.Until(local))
}

// difference is how far this machine's clock is ahead of the database's.
func (c *clock) difference() time.Duration { return time.Now().Round(0).Sub(c.now().Round(0)) }
