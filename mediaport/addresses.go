package mediaport

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"
)

const (
	// How long the list of the machine's addresses is kept.
	addressTTL = 10 * time.Second
	// How many of the interfaces' addresses are announced, in addition to loopback. Some clients take an answer of at most
	// 8 KiB.
	maxAnnounced = 8
)

// addresses finds the addresses at which a socket can be reached.
type addresses struct {
	local  netip.AddrPort    // as bound
	public []netip.Addr      // announced instead of what the interfaces have
	use    func(string) bool // which interfaces' addresses are announced; nil: all

	mu     sync.Mutex
	mapped netip.AddrPort // what a STUN server has seen; announced before all others
	known  []netip.AddrPort
	until  time.Time
}

// list is the addresses to announce as host candidates: first those that all clients can reach, IPv4 before IPv6, and
// loopback last. Some clients use only the first.
func (a *addresses) list() []netip.AddrPort {
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.After(a.until) {
		a.known, a.until = a.look(), now.Add(addressTTL)
	}
	return slices.Clone(a.known)
}

// discovered sets the address that a STUN server has seen.
func (a *addresses) discovered(mapped netip.AddrPort) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mapped, a.until = mapped, time.Time{}
}

// look makes the list. The caller holds a.mu.
func (a *addresses) look() []netip.AddrPort {
	var ips []netip.Addr
	switch {
	case len(a.public) > 0:
		ips = slices.Clone(a.public)
		slices.SortStableFunc(ips, func(x, y netip.Addr) int { // IPv4 first
			return x.Unmap().BitLen() - y.Unmap().BitLen()
		})
		if a.local.Addr().IsUnspecified() {
			ips = append(ips, netip.AddrFrom4([4]byte{127, 0, 0, 1}))
		}
	case a.local.Addr().IsUnspecified():
		ips = interfaceAddresses(a.local.Addr().Is6(), a.use)
	default:
		ips = []netip.Addr{a.local.Addr()}
	}
	var list []netip.AddrPort
	if a.mapped.IsValid() {
		list = append(list, a.mapped)
	}
	for _, ip := range ips {
		if address := netip.AddrPortFrom(ip, a.local.Port()); !slices.Contains(list, address) {
			list = append(list, address)
		}
	}
	return list
}

// interfaceAddresses is the addresses of the interfaces that are up, best first. Loopback is always included: it does
// no harm and comes last.
func interfaceAddresses(v6 bool, use func(string) bool) []netip.Addr {
	loopback := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	interfaces, err := net.Interfaces()
	if err != nil {
		return loopback
	}
	var list []netip.Addr
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || use != nil && i.Flags&net.FlagLoopback == 0 && !use(i.Name) {
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
			if ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.Is6() && !v6 {
				continue
			}
			list = append(list, ip)
		}
	}
	return ordered(list, defaultRoute("udp4", "192.0.2.1:9"), defaultRoute("udp6", "[2001:db8::1]:9"))
}

// ordered puts the best addresses first and drops those beyond maxAnnounced. routes are the addresses that packets to
// the Internet leave from.
func ordered(list []netip.Addr, routes ...netip.Addr) []netip.Addr {
	value := func(ip netip.Addr) int {
		if slices.Contains(routes, ip) {
			return 2 * rank(ip)
		}
		return 2*rank(ip) + 1
	}
	slices.SortStableFunc(list, func(a, b netip.Addr) int { return value(a) - value(b) })
	list = slices.Compact(list)
	n := 0
	return slices.DeleteFunc(list, func(ip netip.Addr) bool {
		n++
		return n > maxAnnounced && !ip.IsLoopback()
	})
}

var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598: carriers' NAT, and overlay networks

// rank orders addresses by who can reach them, IPv4 before IPv6.
func rank(ip netip.Addr) int {
	class := 0
	switch {
	case ip.IsLoopback():
		class = 6
	case ip.Is6():
		class = 3
	}
	switch {
	case sharedAddresses.Contains(ip):
		class += 2
	case ip.IsPrivate() || ip.Is6() && ip.IsLoopback():
		class++
	}
	return class
}

// defaultRoute is the address that packets to a documentation address (RFC 5737, RFC 3849) would leave from. Nothing is
// sent to find it.
func defaultRoute(network, to string) netip.Addr {
	conn, err := net.Dial(network, to)
	if err != nil {
		return netip.Addr{}
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
}
