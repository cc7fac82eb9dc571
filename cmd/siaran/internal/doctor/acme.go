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

// checkDomain tells whether an authority that is asked for a certificate finds us under a domain.
func checkDomain(ctx context.Context, resolver *net.Resolver, domain string, f addressFacts, r running) []Check {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	ips, err := lookup(ctx, resolver, domain)
	if err != nil {
		return []Check{fail("acme", fmt.Sprintf("%s has no address: %s.", domain, plainDNS(err)), "Enter an A or AAAA record with this machine's public address.")}
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
	var strangers []netip.Addr
	for _, ip := range ips {
		if !slices.Contains(ours, ip) {
			strangers = append(strangers, ip)
		}
	}
	known := slices.ContainsFunc(ours, func(ip netip.Addr) bool { return !private(ip) })
	switch {
	case len(strangers) == 0:
		return ok(name, "%s leads to this machine (%s).", domain, listed(ips))
	case !known:
		return warn(name, fmt.Sprintf("%s leads to %s; whether that is this machine cannot be told, as its public address is not known.", domain, listed(strangers)), "Say --public-ip, so that it can be compared.")
	}
	ours = slices.DeleteFunc(slices.Compact(ours), private)
	return fail(name, fmt.Sprintf("%s leads to %s, which is not this machine (%s).", domain, listed(strangers), listed(ours)),
		"Correct the domain's A and AAAA records: the authority asks at each of them.")
}

// checkChallenge looks whether the ports that the authority asks at are let in, as far as that can be seen from inside.
func checkChallenge(ctx context.Context, domain string, ips []netip.Addr, r running) Check {
	const name = "acme-ports"
	if !r.ours() {
		return skip(name, "whether TCP 80 and 443 of %s come through cannot be seen while the server does not run.", domain)
	}
	for _, port := range []string{"443", "80"} {
		conn, err := (&net.Dialer{Timeout: 3 * time.Second}).DialContext(ctx, "tcp", net.JoinHostPort(ips[0].String(), port))
		if err == nil {
			conn.Close() // nothing was said
			return ok(name, "TCP %s of %s is open, seen from here.", port, domain)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			continue
		}
	}
	return warn(name, fmt.Sprintf("neither TCP 443 nor 80 of %s can be reached from here.", domain), "Forward one of them to this machine: the authority asks there. (Some routers do not show that to machines behind them: siaran doctor --url from elsewhere tells.)")
}

// lookup resolves a name; an address stands for itself.
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

// plainDNS says what is wrong with a name.
func plainDNS(err error) string {
	var d *net.DNSError
	switch {
	case errors.As(err, &d) && d.IsNotFound:
		return "the name is not known in DNS"
	case errors.As(err, &d) && d.IsTimeout, errors.Is(err, context.DeadlineExceeded):
		return "no DNS server answers"
	case errors.As(err, &d):
		return "DNS says " + d.Err
	}
	return err.Error()
}
