package listing

import (
	"context"
	"sync/atomic"
	"time"

	"siaran/internal/measure"
)

// Stats counts a reporter's calls to the listing.
type Stats struct {
	Calls, Errors map[string]uint64 // by what is called
	Took          measure.Snapshot
	Failing       bool          // the newest call has failed, and is tried again
	Lag           time.Duration // for how long the oldest change has waited to be written; 0: none waits
	Waiting       int           // broadcasts with changes that wait
}

type callCounters struct {
	calls, errors measure.Tally
	took          *measure.Histogram
	failing       atomic.Bool
}

// Stats returns the counters. Any goroutine may call it.
func (r *Reporter) Stats() Stats {
	s := Stats{
		Calls: r.calls.calls.Snapshot(), Errors: r.calls.errors.Snapshot(), Took: r.calls.took.Snapshot(),
		Failing: r.calls.failing.Load(),
	}
	s.Lag, s.Waiting = r.backlog.lag(time.Now())
	return s
}

// call calls the listing with a time limit, and counts that.
func (r *Reporter) call(
	ctx context.Context, what string, limit time.Duration, f func(context.Context) error,
) error {
	begin := time.Now()
	err := within(ctx, limit, f)
	r.calls.took.Observe(time.Since(begin))
	r.calls.calls.Count(what)
	if err != nil {
		r.calls.errors.Count(what)
	}
	return err
}

// lag returns for how long the oldest change has waited to be written, and how many broadcasts have such changes.
func (b *backlog) lag(now time.Time) (longest time.Duration, waiting int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if e.dirty {
			waiting++
			longest = max(longest, now.Sub(e.since))
		}
	}
	return longest, waiting
}
