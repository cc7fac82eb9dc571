package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

// checkDomain reports whether a certificate authority would find this machine under a domain.
func checkDomain(ctx context.Context, resolver *net.Resolver, domain string, f addressFacts, r running) []Check {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	ips, err := lookup(ctx, resolver, domain)
	if err != nil {
		return []Check{fail("acme", fmt.Sprintf("%s has no address: %s.", domain, plainDNS(err)),
			"Create an A or AAAA record with this machine's public address.")}
	}
	list := []Check{checkResolved(domain, ips, f)}
	if list[0].Status == Fail {
		return list
	}
	return append(list, checkChallenge(ctx, domain, ips, r))
}

func checkResolved(domain string, ips []netip.Addr, f addressFacts) Check {
	const name = "acme"
	ours := slices.Concat(f.public, f.mapped, f.interfaces)
	var others []netip.Addr
	for _, ip := range ips {
		if !slices.Contains(ours, ip) {
			others = append(others, ip)
		}
	}
	known := slices.ContainsFunc(ours, func(ip netip.Addr) bool { return !private(ip) })
	switch {
	case len(others) == 0:
		return ok(name, "%s leads to this machine (%s).", domain, listed(ips))
	case !known:
		return warn(name, fmt.Sprintf("%s leads to %s. This may or may not be this machine, whose public address is not "+
			"known.", domain, listed(others)), "Set --public-ip, so that they can be compared.")
	}
	ours = slices.DeleteFunc(slices.Compact(ours), private)
	return fail(name, fmt.Sprintf("%s leads to %s, which is not this machine (%s).", domain, listed(others), listed(ours)),
		"Correct the domain's A and AAAA records: the authority may try any of them.")
}

// checkChallenge checks that the ports which the authority connects to are open, as far as that can be seen from
// inside.
func checkChallenge(ctx context.Context, domain string, ips []netip.Addr, r running) Check {
	const name = "acme-ports"
	if !r.ours() {
		return skip(name, "TCP ports 80 and 443 of %s cannot be checked while the server does not run.", domain)
	}
	for _, port := range []string{"443", "80"} {
		conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(ips[0].String(), port))
		if err == nil {
			conn.Close() // nothing was sent
			return ok(name, "TCP port %s of %s is open, seen from here.", port, domain)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
	}
	return warn(name, fmt.Sprintf("neither TCP port 443 nor 80 of %s can be reached from here.", domain),
		"Forward one of them to this machine, because the authority connects there. (Behind some routers this check "+
			"cannot succeed; run siaran doctor --url elsewhere.)")
}

// lookup resolves a name or parses an address.
func lookup(ctx context.Context, resolver *net.Resolver, host string) ([]netip.Addr, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}, nil
	}
	ips, err := resolver.LookupNetIP(ctx, "ip", host)
	for i := range ips {
		ips[i] = ips[i].Unmap()
	}
	return ips, err
}

// plainDNS says why a name cannot be resolved.
func plainDNS(err error) string {
	var d *net.DNSError
	switch {
	case errors.As(err, &d) && d.IsNotFound:
		return "the name does not exist in DNS"
	case errors.As(err, &d) && d.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "no DNS server answers"
	case errors.As(err, &d):
		return "DNS says " + d.Err
	}
	return err.Error()
}
