package netaddr

import (
	"math"
	"net/netip"
	"testing"
)

func TestPrefixes(t *testing.T) {
	for _, c := range []struct{ address, source, network string }{
		{"192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"::ffff:192.0.2.7", "192.0.2.7/32", "192.0.2.0/24"},
		{"2001:db8:1:2:3::4", "2001:db8:1:2::/64", "2001:db8:1::/48"},
		{"2001:db8:1:ffff::", "2001:db8:1:ffff::/64", "2001:db8:1::/48"},
		{"fe80::1%eth0", "fe80::/64", "fe80::/48"},
	} {
		a := netip.MustParseAddr(c.address)
		if got := SourceOf(a).String(); got != c.source {
			t.Errorf("SourceOf(%s) = %s, want %s", a, got, c.source)
		}
		if got := NetworkOf(a).String(); got != c.network {
			t.Errorf("NetworkOf(%s) = %s, want %s", a, got, c.network)
		}
	}
	if p := SourceOf(netip.Addr{}); p.IsValid() {
		t.Errorf("SourceOf of no address = %s", p)
	}
}

func TestTally(t *testing.T) {
	tally := Tally{}
	first, neighbour := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	other := netip.MustParseAddr("198.51.100.1")
	tally.Add(first)
	tally.Add(first)
	if !tally.Full(first, 2, 9) || tally.Full(neighbour, 2, 9) || !tally.Full(neighbour, 2, 2) || tally.Full(other, 1, 1) {
		t.Errorf("two of one source are counted as %v", tally)
	}
	tally.Remove(first)
	tally.Remove(first)
	if len(tally) != 0 {
		t.Errorf("left after all were removed: %v", tally)
	}
	nobody := netip.Addr{}
	if tally.Add(nobody); len(tally) != 0 || tally.Full(nobody, 0, 0) {
		t.Errorf("no address is counted: %v", tally)
	}
	tally.Remove(nobody)
	tally.Add(first)
	if !tally.Over(first, 25, 4) || tally.Over(neighbour, 25, 4) || !tally.Over(neighbour, 25, 2) {
		t.Errorf("one of one source is over its share as %v", tally)
	}
}

func TestShare(t *testing.T) {
	for _, c := range []struct {
		share                    Share
		limit, perSource, perNet int
	}{
		{0, 5000, 1250, 2500}, {25, 150, 37, 75}, {40, 10, 4, 8}, {80, 10, 8, 10},
		{100, math.MaxInt, math.MaxInt, math.MaxInt}, {1, 3, 1, 1}, {1000, 3, 3, 3},
	} {
		if perSource, perNetwork := c.share.Of(c.limit); perSource != c.perSource || perNetwork != c.perNet {
			t.Errorf("%d %% of %d are %d and %d, want %d and %d", c.share, c.limit, perSource, perNetwork, c.perSource, c.perNet)
		}
	}
}
