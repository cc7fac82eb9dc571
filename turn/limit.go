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

// sourceOf is what counts as one source: an IPv4 address, or what one customer has of IPv6.
func sourceOf(a netip.Addr) netip.Prefix { return prefixOf(a, 32, 64) }

// networkOf is what one customer can have many sources in: what is routed on its own, or given to a site (RFC 6177).
func networkOf(a netip.Addr) netip.Prefix { return prefixOf(a, 24, 48) }

func prefixOf(a netip.Addr, bits4, bits6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := bits4
	if a.Is6() {
		bits = bits6
	}
	p, _ := a.Prefix(bits)
	return p
}

// tally counts by source and by network, which have prefixes of different lengths.
type tally map[netip.Prefix]int

func (t tally) full(a netip.Addr, perSource, perNetwork int) bool {
	return t[sourceOf(a)] >= perSource || t[networkOf(a)] >= perNetwork
}

func (t tally) add(a netip.Addr) {
	t[sourceOf(a)]++
	t[networkOf(a)]++
}

func (t tally) remove(a netip.Addr) {
	for _, p := range []netip.Prefix{sourceOf(a), networkOf(a)} {
		if t[p]--; t[p] <= 0 {
			delete(t, p)
		}
	}
}
