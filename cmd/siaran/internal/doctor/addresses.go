package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun"
)

const stunTime = 3 * time.Second

// addressFacts is what is known of where the server can be reached.
type addressFacts struct {
	announced  []netip.Addr // to clients, best first
	public     []netip.Addr // of --public-ip
	interfaces []netip.Addr
	mapped     []netip.Addr // where STUN servers see us
	asked      bool         // STUN servers were
	loopback   bool         // the server is for this machine only: --listen and --udp say so
}

var cgnat = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// private tells whether an address cannot be reached from the internet.
func private(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsPrivate() || ip.IsLoopback() || ip.IsLinkLocalUnicast() || cgnat.Contains(ip)
}

func listed(ips []netip.Addr) string {
	words := make([]string, len(ips))
	for i, ip := range ips {
		words[i] = ip.String()
	}
	return strings.Join(words, ", ")
}

// checkAnnounced tells whether clients elsewhere can use any of what is announced.
func checkAnnounced(f addressFacts) Check {
	const name = "addresses"
	var reachable, inside []netip.Addr
	for _, ip := range f.announced {
		switch {
		case ip.IsLoopback():
		case private(ip):
			inside = append(inside, ip)
		default:
			reachable = append(reachable, ip)
		}
	}
	switch {
	case len(reachable) > 0:
		return ok(name, "clients are told %s.", listed(reachable))
	case f.loopback:
		return ok(name, "clients are told %s: this server is for this machine only, as --udp says.", listed(f.announced))
	case len(inside) > 0 && len(f.mapped) > 0:
		return warn(name, fmt.Sprintf("clients are told only private addresses (%s), which work in the same network; from the internet this machine is seen as %s.", listed(inside), listed(f.mapped)),
			fmt.Sprintf("For viewers on the internet say --public-ip %s and forward the media port to this machine.", f.mapped[0]))
	case len(inside) > 0:
		return warn(name, fmt.Sprintf("clients are told only private addresses (%s), which work in the same network and not from the internet.", listed(inside)),
			"For viewers on the internet say --public-ip with the address that they reach this machine at.")
	}
	return warn(name, fmt.Sprintf("clients are told only %s: nobody else can connect media.", listed(f.announced)), "Say --public-ip with the address that clients reach this machine at, or bring the network up.")
}

// checkPublic tells whether --public-ip can be this machine.
func checkPublic(f addressFacts) []Check {
	const name = "public-ip"
	if len(f.public) == 0 {
		return []Check{skip(name, "--public-ip is not given.")}
	}
	var list []Check
	for _, ip := range f.public {
		list = append(list, checkOnePublic(name, ip.Unmap(), f))
	}
	return list
}

func checkOnePublic(name string, ip netip.Addr, f addressFacts) Check {
	same := func(ips []netip.Addr) (list []netip.Addr) { // of the same family
		for _, other := range ips {
			if other.Unmap().Is4() == ip.Is4() {
				list = append(list, other.Unmap())
			}
		}
		return list
	}
	open := slices.DeleteFunc(same(f.interfaces), private)
	seen := same(f.mapped)
	switch {
	case slices.Contains(f.interfaces, ip):
		return ok(name, "%s is an address of this machine.", ip)
	case slices.Contains(seen, ip):
		return ok(name, "%s is where this machine is seen from the internet.", ip)
	case len(seen) > 0:
		return fail(name, fmt.Sprintf("%s is not ours: from the internet this machine is seen as %s.", ip, listed(seen)), fmt.Sprintf("Say --public-ip %s.", seen[0]))
	case private(ip):
		return warn(name, fmt.Sprintf("%s is a private address and none of this machine's (%s).", ip, listed(same(f.interfaces))), "Give the address that viewers reach this machine at; in a container, the host's.")
	case len(open) > 0:
		return warn(name, fmt.Sprintf("%s is none of this machine's addresses, and it has a public one of its own (%s), so there is no NAT.", ip, listed(open)), fmt.Sprintf("Leave --public-ip out, or say --public-ip %s.", open[0]))
	case len(same(f.interfaces)) == 0:
		return warn(name, fmt.Sprintf("%s is none of this machine's addresses, and it has no other of that kind.", ip), "Give an address that leads to this machine.")
	case f.asked:
		return warn(name, fmt.Sprintf("%s is none of this machine's addresses, and no STUN server answered to confirm it.", ip), "Check that the machine may send UDP, and that the address is right: siaran doctor --url, run elsewhere, tells.")
	}
	return ok(name, "%s is behind NAT, as far as can be seen from here; siaran doctor --url, run elsewhere, tells whether it works.", ip)
}

// interfaceAddresses is what the interfaces that are up have.
func interfaceAddresses() []netip.Addr {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	var list []netip.Addr
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			list = append(list, p.Addr().Unmap().WithZone(""))
		}
	}
	return list
}

// mappedAddresses asks STUN servers, each host:port, how they see this machine.
func mappedAddresses(ctx context.Context, servers []string) []netip.Addr {
	var list []netip.Addr
	for _, server := range servers {
		ip, err := askSTUN(ctx, "udp", server)
		if err == nil && !slices.Contains(list, ip) {
			list = append(list, ip)
		}
	}
	return list
}

// askSTUN does one binding transaction (RFC 8489), with retransmissions on UDP.
func askSTUN(ctx context.Context, network, server string) (netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, stunTime)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, network, server)
	if err != nil {
		return netip.Addr{}, err
	}
	defer conn.Close() // nothing is kept
	request, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.Fingerprint)
	if err != nil {
		return netip.Addr{}, err
	}
	buf := make([]byte, 1500)
	for wait := 500 * time.Millisecond; ctx.Err() == nil; wait *= 2 {
		if _, err := conn.Write(request.Raw); err != nil {
			return netip.Addr{}, err
		}
		until := time.Now().Add(wait)
		if end, set := ctx.Deadline(); set && end.Before(until) {
			until = end
		}
		_ = conn.SetReadDeadline(until) // fails on a closed connection only
		n, err := conn.Read(buf)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			continue
		}
		if err != nil {
			return netip.Addr{}, err
		}
		m := &stun.Message{Raw: buf[:n]}
		var mapped stun.XORMappedAddress
		if m.Decode() == nil && m.TransactionID == request.TransactionID && mapped.GetFrom(m) == nil {
			ip, _ := netip.AddrFromSlice(mapped.IP)
			return ip.Unmap(), nil
		}
	}
	return netip.Addr{}, context.Cause(ctx)
}
