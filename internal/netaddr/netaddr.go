// Package netaddr says what of an IP address counts as one client, and counts by it.
//
// One host has one IPv4 address, but a whole /64 of IPv6; one customer may have a /24 of IPv4 or a /48 of IPv6
// (RFC 6177).
// A limit by address alone does not bind an IPv6 host, and a limit by host alone does not bind a customer.
package netaddr

import "net/netip"

// SourceOf is what counts as one host: an IPv4 address, or a /64 of IPv6. IPv4 in IPv6 counts as IPv4; zones are
// dropped.
func SourceOf(a netip.Addr) netip.Prefix { return prefixOf(a, 32, 64) }

// NetworkOf is what one customer may have many hosts in: a /24 of IPv4, or a /48 of IPv6.
func NetworkOf(a netip.Addr) netip.Prefix { return prefixOf(a, 24, 48) }

func prefixOf(a netip.Addr, bits4, bits6 int) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := bits4
	if a.Is6() {
		bits = bits6
	}
	p, _ := a.Prefix(bits) // the bits fit
	return p
}

// Tally counts what each source and each network holds. The zero value of the map type is not usable: make it.
// It has no lock of its own. An address that is not valid is not counted: that is how a client is exempt.
type Tally map[netip.Prefix]int // sources and networks have prefixes of different lengths

// Full reports whether the source or the network of a has reached its limit.
func (t Tally) Full(a netip.Addr, perSource, perNetwork int) bool {
	return a.IsValid() && (t[SourceOf(a)] >= perSource || t[NetworkOf(a)] >= perNetwork)
}

// Add counts one more for a's source and network.
func (t Tally) Add(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	t[SourceOf(a)]++
	t[NetworkOf(a)]++
}

// Remove takes back what Add counted.
func (t Tally) Remove(a netip.Addr) {
	if !a.IsValid() {
		return
	}
	for _, p := range []netip.Prefix{SourceOf(a), NetworkOf(a)} {
		if t[p]--; t[p] <= 0 {
			delete(t, p)
		}
	}
}

// Share is how much of a limit one source may hold, in percent; one network may hold twice as much. The zero value
// is a quarter.
type Share int

// Of is what one source and one network may hold of limit, at least one each.
func (s Share) Of(limit int) (perSource, perNetwork int) {
	if s <= 0 {
		s = 25
	}
	part := func(percent int) int { return max(1, limit/100*percent+limit%100*percent/100) } // no overflow
	return part(min(int(s), 100)), part(min(2*int(s), 100))
}

// Over reports whether the source or the network of a has its share of limit.
func (t Tally) Over(a netip.Addr, share Share, limit int) bool {
	perSource, perNetwork := share.Of(limit)
	return t.Full(a, perSource, perNetwork)
}
