package admission

import (
	"errors"
	"sync/atomic"

	"siaran/internal/measure"
)

// Stats counts what a hook has asked and heard since it was made.
type Stats struct {
	Allowed, Refused, NoAnswer uint64 // questions to the site
	Limited                    uint64 // questions that it was not asked, because too many had been
	Kept                       uint64 // questions that have the answer of another one, kept or on its way
	Took                       measure.Snapshot
}

type counts struct {
	allowed, refused, noAnswer, limited, kept atomic.Uint64
	took                                      *measure.Histogram
}

func (c *counts) count(err error) {
	switch {
	case err == nil:
		c.allowed.Add(1)
	case errors.Is(err, ErrNoAnswer):
		c.noAnswer.Add(1)
	default:
		c.refused.Add(1)
	}
}

// Stats returns the counters.
func (h *Hook) Stats() Stats {
	c := &h.counts
	return Stats{
		Allowed: c.allowed.Load(), Refused: c.refused.Load(), NoAnswer: c.noAnswer.Load(), Limited: c.limited.Load(),
		Kept: c.kept.Load(), Took: c.took.Snapshot(),
	}
}
