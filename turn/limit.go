package turn

import (
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// bucket bounds a rate of bytes. It holds what may go in one second.
type bucket struct {
	full int64 // when it is full again, were nothing taken; unix nanoseconds
}

// take tells whether n more may go at a rate a second. A bucket belongs to one goroutine at a time.
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

// limiter bounds how much strangers ask, by their source. Sources that share a slot push each other out, so that its size is
// fixed; what many forged ones get through is bounded by what an answer costs.
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

func (l *limiter) take(source netip.Prefix, now time.Time) bool {
	at := now.UnixNano()
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

// sourceOf is what counts as one source: an IPv4 address, or what one customer has of IPv6.
func sourceOf(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}
