package ingest

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/ice/v2"
)

const maxCandidates = 32 // per broadcaster, in offer and fragments together; each one is sent checks

// reach is how close a broadcaster is to the server's own network. The server sends checks to the addresses among its
// candidates, so a remote broadcaster must not be able to probe private networks through it.
type reach int

const (
	reachPublic  reach = iota
	reachPrivate       // its own address is private
	reachLocal         // it is on this machine, or its address is unknown
)

// reachOf returns the reach of the client that has sent an offer. An invalid address stands for this machine, or for a
// proxy that does not name its client.
func reachOf(from netip.Addr) reach {
	from = from.Unmap()
	switch {
	case !from.IsValid() || from.IsLoopback():
		return reachLocal
	case isPrivate(from) || from.IsLinkLocalUnicast():
		return reachPrivate
	}
	return reachPublic
}

func isPrivate(a netip.Addr) bool { return a.IsPrivate() || sharedSpace.Contains(a) }

var sharedSpace = netip.MustParsePrefix("100.64.0.0/10") // carrier-grade NAT (RFC 6598)

// never are addresses that no broadcaster has: the metadata services of clouds, which hand out secrets, and ranges
// whose addresses embed another address (RFC 6052, RFC 8215, RFC 3056, RFC 4380).
var never = []netip.Prefix{
	netip.MustParsePrefix("169.254.169.254/32"), netip.MustParsePrefix("169.254.170.2/32"),
	netip.MustParsePrefix("100.100.100.200/32"), netip.MustParsePrefix("fd00:ec2::254/128"),
	netip.MustParsePrefix("fd20:ce::254/128"),
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("64:ff9b::/96"), netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

// mayCheck reports whether checks may be sent to an address.
func (r reach) mayCheck(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	switch {
	case !a.IsValid() || a.IsUnspecified() || a.IsMulticast():
		return false
	case slices.ContainsFunc(never, func(p netip.Prefix) bool { return p.Contains(a) }):
		return false
	case a.IsLoopback():
		return r == reachLocal
	case isPrivate(a) || a.IsLinkLocalUnicast():
		return r >= reachPrivate
	}
	return true
}

// usableCandidates returns the candidates that can and may be checked: UDP, component 1, with a literal address. Names
// (mDNS) and invalid candidates are left out; the broadcaster's own checks reach us all the same. Extensions such as
// generation are cut off, because pion does not use them.
func usableCandidates(values []string, room int, from reach) []string {
	var list []string
	for _, v := range values {
		if len(list) >= room {
			break
		}
		if c, ok := usableCandidate(v, from); ok {
			list = append(list, c)
		}
	}
	return list
}

func usableCandidate(value string, from reach) (clean string, ok bool) {
	defer func() {
		if recover() != nil { // the parser is not ours, and the bytes come from outside
			clean, ok = "", false
		}
	}()
	value = strings.TrimPrefix(strings.TrimSpace(value), "candidate:")
	c, err := ice.UnmarshalCandidate(value)
	if err != nil || c.Component() != ice.ComponentRTP || c.NetworkType().IsTCP() {
		return "", false
	}
	addr, err := netip.ParseAddr(c.Address())
	if err != nil || !from.mayCheck(addr) || c.Port() == 0 {
		return "", false
	}
	return c.Marshal(), true
}
