package listing

import (
	"sync"
	"time"
)

// clock tells the database's time, by which the leases of all servers are written and judged: a
// server whose own clock is wrong, or is set while it runs, disturbs nobody. Between the
// answers that tell the time it goes on by the machine's monotonic clock.
type clock struct {
	fixed func() time.Time // for tests

	mu     sync.Mutex
	anchor time.Time // what the database said
	at     time.Time // when that was, with its monotonic reading
}

func newClock(fixed func() time.Time) *clock { return &clock{fixed: fixed} }

// now is this machine's time as long as the database has not told its own.
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

// observe takes the time that an answer to a question sent at sent has told. One that took so long that it may be wrong by more than
// the margin of leases, as when the machine stood still meanwhile, would make this server take others for dead: it does not count.
func (c *clock) observe(told, sent time.Time) {
	if c.fixed != nil || told.IsZero() {
		return
	}
	received := time.Now()
	if received.Sub(sent) > 2*leaseMargin || received.Round(0).Sub(sent.Round(0)) > 2*leaseMargin {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = received
	c.anchor = told.Add(received.Sub(sent) / 2)
}

// translate gives the database's time for one of this machine's clock that is near.
func (c *clock) translate(local time.Time) time.Time {
	if c.fixed != nil {
		return local
	}
	return c.now().Add(time.Until(local))
}

// difference is how far this machine's clock is ahead of the database's.
func (c *clock) difference() time.Duration { return time.Now().Round(0).Sub(c.now().Round(0)) }
