package bench

import (
	"math/bits"
	"slices"
	"sync/atomic"
	"time"
)

// histogram counts times in buckets that are at most 1/64 of their value wide, from a nanosecond up. It has a fixed
// size, and any goroutine may add to it.
type histogram struct {
	buckets [64 * 59]atomic.Uint64
	count   atomic.Uint64
	max     atomic.Int64
}

func bucketOf(v uint64) int {
	if v < 64 {
		return int(v)
	}
	shift := bits.Len64(v) - 7
	return shift*64 + int(v>>shift)
}

// upperBound returns the largest value of a bucket.
func upperBound(bucket int) uint64 {
	if bucket < 128 {
		return uint64(bucket)
	}
	shift := bucket/64 - 1
	return (uint64(bucket%64)+64+1)<<shift - 1
}

func (h *histogram) add(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))].Add(1)
	h.count.Add(1)
	for old := h.max.Load(); int64(d) > old && !h.max.CompareAndSwap(old, int64(d)); {
		old = h.max.Load()
	}
}

// percentile returns the smallest time that at least p percent of all do not exceed. It is too large by 1/64 at most,
// and 0 if the histogram is empty.
func (h *histogram) percentile(p float64) time.Duration {
	total := h.count.Load()
	if total == 0 {
		return 0
	}
	rank, seen := nearestRank(p, total), uint64(0)
	for i := range h.buckets {
		if seen += h.buckets[i].Load(); seen >= rank {
			return min(time.Duration(upperBound(i)), time.Duration(h.max.Load()))
		}
	}
	return time.Duration(h.max.Load())
}

// nearestRank returns the position, counted from 1, of percentile p among n sorted values.
func nearestRank(p float64, n uint64) uint64 {
	rank := uint64(p / 100 * float64(n))
	if float64(rank) < p/100*float64(n) {
		rank++
	}
	return min(max(rank, 1), n)
}

// percentileOf returns the exact percentile of some times. It sorts them.
func percentileOf(times []time.Duration, p float64) time.Duration {
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[nearestRank(p, uint64(len(times)))-1]
}
