package mediaport

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestSourceIsBounded(t *testing.T) {
	g, now := newSourceLimiter(), time.Unix(100, 0)
	a, b := netip.MustParseAddrPort("192.0.2.1:1"), netip.MustParseAddrPort("192.0.2.1:2")
	passed := 0
	for range 10 * maxChecks {
		if g.check(a, false, now) {
			passed++
		}
	}
	if passed != maxChecks {
		t.Errorf("%d checks passed, want %d", passed, maxChecks)
	}
	if !g.check(b, false, now) || !g.check(a, true, now) || !g.check(a, false, now.Add(limiterWindow)) ||
		!g.datagram(a, now) {
		t.Error("another source, another kind or another time was refused")
	}
}

// admittedChecks is how many of n checks that come at once a limiter lets through.
func admittedChecks(n int, from func(int) netip.AddrPort) (admitted int) {
	g, now := newSourceLimiter(), time.Now()
	for i := range n {
		if g.check(from(i), false, now) {
			admitted++
		}
	}
	return admitted
}

func TestStrangersHostsAreBounded(t *testing.T) {
	admitted := admittedChecks(100_000, func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("192.0.2.1"), uint16(1+i%60_000))
	})
	if admitted > 1000 {
		t.Errorf("one host got %d checks through in a moment", admitted)
	}
	admitted = admittedChecks(100_000, func(i int) netip.AddrPort {
		b := netip.MustParseAddr("2001:db8:1::1").As16()
		binary.BigEndian.PutUint16(b[6:], uint16(i))
		return netip.AddrPortFrom(netip.AddrFrom16(b), 9)
	})
	if admitted > 5000 {
		t.Errorf("one /48 got %d checks through in a moment", admitted)
	}
}
