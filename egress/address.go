package egress

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// How long the list of the machine's addresses is trusted.
const addressTTL = 10 * time.Second

// addresses finds what a socket can be reached at.
type addresses struct {
	local  netip.AddrPort // as bound
	public []netip.Addr   // announced instead of what the interfaces have

	mu    sync.Mutex
	known []netip.AddrPort
	until time.Time
}

// list is the addresses to announce as host candidates: those that all clients can reach
// first, IPv4 before IPv6, loopback last (C22, P58b).
func (a *addresses) list() []netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.until) {
		a.known, a.until = a.look(), now.Add(addressTTL)
	}
	return slices.Clone(a.known)
}

func (a *addresses) look() []netip.AddrPort {
	var ips []netip.Addr
	switch {
	case len(a.public) > 0:
		ips = slices.Clone(a.public)
		if a.local.Addr().IsUnspecified() {
			ips = append(ips, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		}
	case a.local.Addr().IsUnspecified():
		ips = interfaceAddresses(a.local.Addr().Is6())
	default:
		ips = []netip.Addr{a.local.Addr()}
	}
	list := make([]netip.AddrPort, len(ips))
	for i, ip := range ips {
		list[i] = netip.AddrPortFrom(ip, a.local.Port())
	}
	return list
}

// interfaceAddresses is what the interfaces that are up have, best first.
func interfaceAddresses(v6 bool) []netip.Addr {
	interfaces, err := net.Interfaces()
	if err != nil {
		return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, addr := range addrs {
			prefix, err := netip.ParsePrefix(addr.String())
			if err != nil {
				continue
			}
			ip := prefix.Addr().Unmap()
			if ip.IsLinkLocalUnicast() || ip.Is6() && !v6 {
				continue
			}
			list = append(list, ip)
		}
	}
	route := defaultRoute()
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return rank(a, route) - rank(b, route) })
	return slices.Compact(list)
}

// rank orders addresses for announcement, the best first.
func rank(ip, route netip.Addr) int {
	switch {
	case ip.IsLoopback() && ip.Is4():
		return 5
	case ip.IsLoopback():
		return 6
	case ip == route:
		return 0
	case ip.Is4() && !ip.IsPrivate():
		return 1
	case ip.Is4():
		return 2
	}
	return 3
}

// defaultRoute is the address that packets to the world leave from. Nothing is sent to find it.
func defaultRoute() netip.Addr {
	conn, err := net.Dial("udp4", "192.0.2.1:9") // RFC 5737: never anyone's
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
