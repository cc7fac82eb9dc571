package turn

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// bucket bounds a rate of bytes. It holds one second's worth.
type bucket struct {
	full int64 // when it will be full again if nothing is taken; unix nanoseconds
}

// take reports whether n more bytes may pass at a rate per second. A bucket belongs to one goroutine at a time.
func (b *bucket) take(now int64, n, rate int) bool {
	if b.full < now {
		b.full = now
	}
	cost := int64(n) * int64(time.Second) / int64(rate)
	if b.full+cost-now > int64(time.Second) {
		return false
	}
	b.full += cost
	return true
}

const limiterSlots = 1 << 13

// limiter bounds the requests of clients without an allocation, by source. Its size is fixed: sources that share a
// slot push each other out. Many forged sources may get through, but each request costs us no more than an answer.
type limiter struct {
	seed        maphash.Seed
	rate, burst int

	mu    sync.Mutex
	slots [limiterSlots]struct {
		source netip.Prefix
		full   int64 // as in bucket
	}
}

func newLimiter(rate, burst int) *limiter {
	return &limiter{seed: maphash.MakeSeed(), rate: rate, burst: burst}
}

func (l *limiter) take(source netip.Prefix, at int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := &l.slots[maphash.Comparable(l.seed, source)%limiterSlots]
	if s.source != source || s.full < at {
		s.source, s.full = source, at
	}
	one := int64(time.Second) / int64(l.rate)
	if s.full+one-at > one*int64(l.burst) {
		return false
	}
	s.full += one
	return true
}
