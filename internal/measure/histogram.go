package measure

import (
	"slices"
	"sync/atomic"
	"time"
)

// Histogram counts durations. Any goroutine may use it. Where each packet or each turn of a worker counts, every
// goroutine has one of its own, so that no two cores share a counter; Sum adds them up.
type Histogram struct {
	bounds []time.Duration // ascending; shared and never changed
	counts []atomic.Uint64 // one for each bound, and one for all that is longer
	sum    atomic.Int64    // nanoseconds
}

// New makes a histogram whose buckets end at these bounds, which ascend.
func New(bounds []time.Duration) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration; one below zero counts as zero, as clocks may be set.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i, _ := slices.BinarySearch(h.bounds, d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is what a histogram has counted so far.
type Snapshot struct {
	Bounds []time.Duration
	Counts []uint64 // by bucket, not cumulative; the last is of what is longer than all bounds
	Sum    time.Duration
}

// Snapshot returns what has been counted. Counts that change meanwhile may be in it or not.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Bounds: h.bounds, Counts: make([]uint64, len(h.counts)), Sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.Counts[i] = h.counts[i].Load()
	}
	return s
}

// Plus adds up two snapshots of histograms with the same bounds. The zero Snapshot may be one of them.
func (s Snapshot) Plus(o Snapshot) Snapshot {
	if len(s.Counts) == 0 {
		return o
	}
	sum := Snapshot{Bounds: s.Bounds, Counts: slices.Clone(s.Counts), Sum: s.Sum + o.Sum}
	for i, n := range o.Counts {
		sum.Counts[i] += n
	}
	return sum
}

// Count is how many durations have been counted.
func (s Snapshot) Count() (n uint64) {
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Joins are bounds for the stages of a join: from a round trip on the same machine to the longest that anyone waits.
var Joins = []time.Duration{
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// Turns are bounds for what happens with each frame: how late a worker is, and how long a frame stays in the server.
var Turns = []time.Duration{
	100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, time.Second,
}
