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

// addressFacts is what is known about where the server can be reached.
type addressFacts struct {
	announced  []netip.Addr // to clients, best first
	public     []netip.Addr // of --public-ip
	interfaces []netip.Addr
	mapped     []netip.Addr // our addresses as STUN servers see them
	asked      bool         // STUN servers were asked
	loopback   bool         // the server is for this machine only, by --listen and --udp
}

var cgnat = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// private reports whether an address cannot be reached from the internet.
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

// checkAnnounced reports whether clients elsewhere can use any announced address.
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
		return ok(name, "clients are given %s.", listed(reachable))
	case f.loopback:
		return ok(name, "clients are given %s: this server is for this machine only, as --udp says.", listed(f.announced))
	case len(inside) > 0 && len(f.mapped) > 0:
		return warn(name, fmt.Sprintf("clients are given only private addresses (%s), which work in the same network. "+
			"From the internet this machine is seen as %s.", listed(inside), listed(f.mapped)),
			fmt.Sprintf("For viewers on the internet, set --public-ip %s and forward the media port to this machine.",
				f.mapped[0]))
	case len(inside) > 0:
		return warn(name, fmt.Sprintf("clients are given only private addresses (%s), which work in the same network but "+
			"not from the internet.", listed(inside)),
			"For viewers on the internet, set --public-ip to the address at which they reach this machine.")
	}
	return warn(name, fmt.Sprintf("clients are given only %s: media works on this machine only.", listed(f.announced)),
		"Set --public-ip to the address at which clients reach this machine, or bring the network up.")
}

// checkPublic checks that --public-ip can lead to this machine.
func checkPublic(f addressFacts) []Check {
	const name = "public-ip"
	if len(f.public) == 0 {
		return []Check{skip(name, "--public-ip is not set.")}
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
		return ok(name, "%s is this machine's address as seen from the internet.", ip)
	case len(seen) > 0:
		return fail(name, fmt.Sprintf("%s is not this machine's address: from the internet it is seen as %s.", ip,
			listed(seen)), fmt.Sprintf("Set --public-ip %s.", seen[0]))
	case private(ip):
		return warn(name, fmt.Sprintf("%s is a private address and not one of this machine's (%s).", ip,
			listed(same(f.interfaces))), "Use the address at which viewers reach this machine; in a container, the host's.")
	case len(open) > 0:
		return warn(name, fmt.Sprintf("%s is not one of this machine's addresses, and it has a public address (%s), so "+
			"it is not behind NAT.", ip, listed(open)), fmt.Sprintf("Remove --public-ip, or set --public-ip %s.", open[0]))
	case len(same(f.interfaces)) == 0:
		return warn(name, fmt.Sprintf("%s is not one of this machine's addresses, and it has no other address of that "+
			"family.", ip), "Use an address that leads to this machine.")
	case f.asked:
		return warn(name, fmt.Sprintf("%s is not one of this machine's addresses, and no STUN server answered to confirm "+
			"it.", ip), "Check that the machine may send UDP, and that the address is right: run siaran doctor --url elsewhere.")
	}
	return ok(name, "%s seems to be in front of a NAT; run siaran doctor --url elsewhere to see whether it works.", ip)
}

// interfaceAddresses returns the addresses of the interfaces that are up.
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

// mappedAddresses asks STUN servers, each host:port, under which addresses they see this machine.
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
	defer conn.Close() // nothing is buffered
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
		if m.Decode() == nil && m.TransactionID == request.TransactionID && addressesWhole(m) && mapped.GetFrom(m) == nil {
			ip, _ := netip.AddrFromSlice(mapped.IP)
			return ip.Unmap(), nil
		}
	}
	return netip.Addr{}, context.Cause(ctx)
}

// addressesWhole reports whether each address in a message has the length of its family (RFC 8489 section 14.2).
// pion/stun v0.6.1 reads beyond the end of a shorter one (xoraddr.go, GetFromAs), and panics if the message ends
// there.
func addressesWhole(m *stun.Message) bool {
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrMappedAddress, stun.AttrXORMappedAddress, stun.AttrXORRelayedAddress, stun.AttrXORPeerAddress:
			if !(len(a.Value) == 8 && a.Value[1] == 1 || len(a.Value) == 20 && a.Value[1] == 2) {
				return false
			}
		}
	}
	return true
}
