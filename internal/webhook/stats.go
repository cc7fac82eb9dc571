package webhook

import (
	"sync/atomic"
	"time"
)

// Stats counts what a sender has done since it started, for all receivers together.
type Stats struct {
	Waiting int           // messages
	Oldest  time.Duration // how long the oldest of them has waited
	Failing int           // receivers that do not answer

	Taken, Refused, NoAnswer uint64 // requests by what came of them
	GivenUp                  uint64 // messages that a receiver did not take for too long, or too often
	Dropped                  uint64 // messages that found no room
	Gone                     uint64 // messages that are missing from the file
}

// counts are those of one receiver.
type counts struct {
	outcomes               [noAnswer + 1]atomic.Uint64
	givenUp, dropped, gone atomic.Uint64
}

// Stats returns the counters.
func (s *Sender) Stats() Stats {
	var st Stats
	now := time.Now()
	for _, r := range s.receivers {
		waiting, oldest := r.queue.state(now)
		st.Waiting += waiting
		st.Oldest = max(st.Oldest, oldest)
		if r.failing.Load() {
			st.Failing++
		}
		c := &r.counts
		st.Taken += c.outcomes[taken].Load()
		st.Refused += c.outcomes[refused].Load()
		st.NoAnswer += c.outcomes[noAnswer].Load()
		st.GivenUp += c.givenUp.Load()
		st.Dropped += c.dropped.Load()
		st.Gone += c.gone.Load()
	}
	return st
}
