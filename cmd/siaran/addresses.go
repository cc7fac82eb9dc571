package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun"

	"siaran/cmd/siaran/internal/iceurl"
)

const (
	discoverTime     = 3 * time.Second // at the start, which waits for it
	rediscoverEvery  = time.Minute
	maxTCPAddresses  = 4 // announced; browsers connect to each
	interfacePattern = "give the name of an interface, such as eth0 or wg*"
)

// AddressConfig is where clients reach the media, and by TCP too.
type AddressConfig struct {
	TCP           *string  `name:"tcp" placeholder:"ADDRESS" help:"Address where broadcasters whose network blocks UDP send their media to, TCP (default: that of --udp); empty for none."`
	Interface     []string `name:"interface" placeholder:"NAME" help:"Announce the addresses of these network interfaces only; * stands for anything; may be repeated (default: all but --skip-interface)."`
	SkipInterface []string `name:"skip-interface" default:"docker*,br-????????????,veth*,virbr*,cni*,flannel*,cali*,podman*,lxcbr*,lxdbr*,vmnet*,vboxnet*" placeholder:"NAME" help:"Do not announce the addresses of these network interfaces (default: the bridges of containers and virtual machines)."`
	Discover      string   `name:"discover-public-ip" placeholder:"stun:HOST:PORT" help:"Ask this STUN server for the public address of the media port, and announce it first."`
}

// checkAddresses fills in what is derived from --udp. Of c it reads what other areas have.
func (c *Config) checkAddresses() error {
	var wrong []error
	if c.TCP == nil {
		c.TCP = &c.UDP
	}
	if *c.TCP != "" {
		if err := checkAddress(*c.TCP); err != nil && *c.TCP != c.UDP { // which is told about already
			wrong = append(wrong, fmt.Errorf("--tcp %q: %w", *c.TCP, err))
		}
	}
	for _, list := range []struct {
		flag     string
		patterns []string
	}{{"interface", c.Interface}, {"skip-interface", c.SkipInterface}} {
		for _, p := range list.patterns {
			if _, err := path.Match(p, ""); err != nil || p == "" {
				wrong = append(wrong, fmt.Errorf("--%s %q: %s", list.flag, p, interfacePattern))
			}
		}
	}
	for _, ip := range c.PublicIP {
		if !ip.IsValid() || ip.IsUnspecified() || ip.IsMulticast() || ip.Zone() != "" {
			wrong = append(wrong, fmt.Errorf("--public-ip %s: give the address that clients reach this server at", ip))
		}
	}
	if c.Discover != "" {
		if _, err := stunServer(c.Discover); err != nil {
			wrong = append(wrong, fmt.Errorf("--discover-public-ip %q: %w", c.Discover, err))
		}
		if len(c.PublicIP) > 0 {
			wrong = append(wrong, errors.New("--discover-public-ip and --public-ip: give one of them"))
		}
	}
	return errors.Join(wrong...)
}

// stunServer reads stun:host:port (RFC 7064).
func stunServer(text string) (host string, err error) {
	u, err := iceurl.Parse(text)
	if err != nil || u.Scheme != stun.SchemeTypeSTUN || u.Host == "" || u.Port < 1 || u.Port > 65535 {
		return "", errors.New("give something like stun:stun.example.org:3478")
	}
	return net.JoinHostPort(u.Host, fmt.Sprint(u.Port)), nil
}

// announces tells whether an interface's addresses are announced.
func (c AddressConfig) announces(name string) bool {
	matches := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
	if len(c.Interface) > 0 {
		return slices.ContainsFunc(c.Interface, matches)
	}
	return !slices.ContainsFunc(c.SkipInterface, matches)
}

// openMediaTCP opens the TCP port of broadcasters.
func (s *server) openMediaTCP(ctx context.Context) (err error) {
	if s.cfg.TCP == nil || *s.cfg.TCP == "" {
		return nil
	}
	var lc net.ListenConfig
	if s.mediaTCP, err = lc.Listen(ctx, "tcp", *s.cfg.TCP); err != nil {
		return explainListen("tcp", *s.cfg.TCP, err)
	}
	s.closers = append(s.closers, closeListener(s.mediaTCP))
	return nil
}

// tcpAddresses are announced for the TCP port: those of UDP, unless it is bound to another one.
func (s *server) tcpAddresses() []netip.AddrPort {
	bound := s.mediaTCP.Addr().(*net.TCPAddr).AddrPort()
	ip := bound.Addr().Unmap()
	list := s.socket.Addresses()
	if at := slices.IndexFunc(list, func(a netip.AddrPort) bool { return a.Addr() == ip }); at < 0 && !ip.IsUnspecified() && len(s.cfg.PublicIP) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(ip, bound.Port())}
	}
	var out []netip.AddrPort
	for _, a := range list {
		// Loopback drops no UDP.
		if len(out) < maxTCPAddresses && (!a.Addr().IsLoopback() || len(out) == 0) {
			out = append(out, netip.AddrPortFrom(a.Addr(), bound.Port()))
		}
	}
	return out
}

// openDiscovery asks for the public address, and goes on asking now and then. That nobody answers stops nothing.
func (s *server) openDiscovery(ctx context.Context) error {
	if s.cfg.Discover == "" {
		return nil
	}
	d := discoverer{server: s}
	d.ask(ctx)
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(rediscoverEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				d.ask(ctx)
			case <-ctx.Done():
				return
			}
		}
	}()
	s.closers = append(s.closers, func() error {
		stop()
		<-done
		return nil
	})
	return nil
}

// discoverer logs what changes, and nothing else.
type discoverer struct {
	server  *server
	known   netip.AddrPort
	failing bool
}

func (d *discoverer) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, discoverTime)
	defer cancel()
	found, err := d.try(ctx)
	log := d.server.logger.With("stun", d.server.cfg.Discover)
	switch {
	case err != nil && context.Cause(ctx) == context.Canceled: // the server ends
	case err != nil && !d.failing:
		d.failing = true
		log.Warn("the public address is not known: clients from outside may not reach the media; see that UDP gets out to the STUN server, or say --public-ip", "err", err)
	case err == nil:
		if d.failing || found != d.known {
			log.Info("the public address of the media is discovered", "address", found.String())
			if port := d.server.socket.Port(); found.Port() != port {
				log.Warn("the router before this machine changes port numbers, so clients may not get in: forward the UDP port to this machine and say --public-ip", "port", port, "seen", found.Port())
			}
		}
		d.known, d.failing = found, false
	}
}

func (d *discoverer) try(ctx context.Context) (netip.AddrPort, error) {
	host, err := stunServer(d.server.cfg.Discover)
	if err != nil {
		return netip.AddrPort{}, err
	}
	name, port, err := net.SplitHostPort(host)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ips, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return netip.AddrPort{}, err
	}
	number, err := net.DefaultResolver.LookupPort(ctx, "udp", port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	// IPv4 is what is translated.
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.Unmap().BitLen() - b.Unmap().BitLen() })
	return d.server.socket.Discover(ctx, netip.AddrPortFrom(ips[0].Unmap(), uint16(number)))
}

// addressWarning says what is wrong with the announced addresses, and what to do; empty: nothing.
func (s *server) addressWarning() string {
	list := s.socket.Addresses()
	switch {
	case slices.ContainsFunc(list, func(a netip.AddrPort) bool { return reachable(a.Addr()) }):
		return ""
	case s.seemsPublic():
		return "The server seems to be public, but announces private addresses for its media only, which clients from outside cannot reach. " +
			"Say --public-ip with its public address (and forward UDP and TCP port " + fmt.Sprint(s.socket.Port()) + " to it), or --discover-public-ip stun:HOST:PORT."
	case len(s.cfg.Interface) > 0 && !slices.ContainsFunc(list, func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() }):
		return "--interface " + strings.Join(s.cfg.Interface, ",") + " names no interface that has an address, so only this machine's own programs reach the media."
	}
	return ""
}

// seemsPublic tells whether the server is meant for people on the internet.
func (s *server) seemsPublic() bool {
	if u, err := url.Parse(s.cfg.BaseURL); err == nil && u.Host != "" {
		return publicHost(u.Hostname())
	}
	if s.tcp.Addr().(*net.TCPAddr).IP.IsLoopback() {
		return false
	}
	if len(s.cfg.ACME) > 0 {
		return true
	}
	if s.cfg.TLSCert == "" {
		return false
	}
	certificate, err := tls.LoadX509KeyPair(s.cfg.TLSCert, s.cfg.TLSKey)
	return err == nil && certificate.Leaf != nil && slices.ContainsFunc(certificate.Leaf.DNSNames, publicHost)
}

// publicHost tells whether a host is one that the whole internet may know.
func publicHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return reachable(ip)
	}
	at := strings.LastIndex(host, ".")
	return at >= 0 && !slices.Contains([]string{"local", "localhost", "internal", "lan", "home", "arpa", "test", "invalid", "intranet", "corp", "private"}, host[at+1:])
}

var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// reachable tells whether an address may be reached from the internet.
func reachable(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedAddresses.Contains(ip)
}
