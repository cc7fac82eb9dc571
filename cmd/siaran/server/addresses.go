package server

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

	"siaran/internal/iceurl"
)

const (
	discoverTime     = 3 * time.Second // at the start, which waits for it
	rediscoverEvery  = time.Minute
	maxTCPAddresses  = 4 // announced; browsers connect to each
	interfacePattern = "give the name of an interface, such as eth0 or wg*"
)

// AddressConfig holds the settings of the addresses that are announced for media, over UDP and over TCP.
type AddressConfig struct {
	TCP           *string  `name:"tcp" placeholder:"ADDRESS"`
	Interface     []string `name:"interface" placeholder:"NAME"`
	SkipInterface []string `name:"skip-interface" default:"${skip_interfaces}" placeholder:"NAME"`
	Discover      string   `name:"discover-public-ip" placeholder:"stun:HOST:PORT"`
}

// SkipInterfaces is the default of --skip-interface, the bridges of containers and virtual machines. The command line
// puts it in place of ${skip_interfaces}, since a struct tag cannot be broken into lines.
const SkipInterfaces = "docker*,br-????????????,veth*,virbr*,cni*,flannel*,cali*,podman*,lxcbr*,lxdbr*,vmnet*,vboxnet*"

// checkAddresses derives missing settings from --udp and checks the rest. It reads settings outside AddressConfig too.
func (c *Config) checkAddresses() error {
	var wrong []error
	if c.TCP == nil {
		c.TCP = &c.UDP
	}
	if *c.TCP != "" {
		if err := checkAddress(*c.TCP); err != nil && *c.TCP != c.UDP { // already reported for --udp
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
			wrong = append(wrong, fmt.Errorf("--public-ip %s: give the address at which clients reach this server", ip))
		}
	}
	if c.Discover != "" {
		if _, err := ParseSTUN(c.Discover); err != nil {
			wrong = append(wrong, fmt.Errorf("--discover-public-ip %q: %w", c.Discover, err))
		}
		if len(c.PublicIP) > 0 {
			wrong = append(wrong, errors.New("--discover-public-ip and --public-ip: give only one of them"))
		}
	}
	return errors.Join(wrong...)
}

// ParseSTUN reads stun:host:port (RFC 7064).
func ParseSTUN(text string) (host string, err error) {
	u, err := iceurl.Parse(text)
	if err != nil || u.Scheme != stun.SchemeTypeSTUN || u.Host == "" || u.Port < 1 || u.Port > 65535 {
		return "", errors.New("give something like stun:stun.example.org:3478")
	}
	return net.JoinHostPort(u.Host, fmt.Sprint(u.Port)), nil
}

// Announces reports whether the addresses of the named network interface are announced.
func (c AddressConfig) Announces(name string) bool {
	matches := func(pattern string) bool { ok, _ := path.Match(pattern, name); return ok }
	if len(c.Interface) > 0 {
		return slices.ContainsFunc(c.Interface, matches)
	}
	return !slices.ContainsFunc(c.SkipInterface, matches)
}

// openMediaTCP opens the TCP port for the media of broadcasters.
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

// tcpAddresses returns the addresses to announce for the TCP port: those announced for UDP, unless the TCP port is
// bound to an address that is not among them.
func (s *server) tcpAddresses() []netip.AddrPort {
	bound := s.mediaTCP.Addr().(*net.TCPAddr).AddrPort()
	ip := bound.Addr().Unmap()
	list := s.socket.Addresses()
	announced := slices.ContainsFunc(list, func(a netip.AddrPort) bool { return a.Addr() == ip })
	if !announced && !ip.IsUnspecified() && len(s.cfg.PublicIP) == 0 {
		return []netip.AddrPort{netip.AddrPortFrom(ip, bound.Port())}
	}
	var out []netip.AddrPort
	for _, a := range list {
		// TCP over loopback is of no use, since loopback drops no UDP. It is announced only if it comes first.
		if len(out) < maxTCPAddresses && (!a.Addr().IsLoopback() || len(out) == 0) {
			out = append(out, netip.AddrPortFrom(a.Addr(), bound.Port()))
		}
	}
	return out
}

// openDiscovery asks for the public address now and then again at intervals. The server starts even if there is no
// answer.
func (s *server) openDiscovery(ctx context.Context) error {
	if s.cfg.Discover == "" {
		return nil
	}
	d := discoverer{server: s}
	d.ask(ctx)
	s.background(func(ctx context.Context) {
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
	})
	return nil
}

// discoverer asks for the public address and logs only changes.
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
	case err != nil && context.Cause(ctx) == context.Canceled: // the server is shutting down
	case err != nil && !d.failing:
		d.failing = true
		log.Warn(
			"the public address is not known, so clients outside this network may not reach the media; "+
				"check that UDP packets can reach the STUN server, or set --public-ip",
			"error", err,
		)
	case err == nil:
		if d.failing || found != d.known {
			log.Info("discovered the public address of the media port", "address", found.String())
			if port := d.server.socket.Port(); found.Port() != port {
				log.Warn(
					"the router in front of this machine changes port numbers, so clients may not reach the media; "+
						"forward the UDP port to this machine and set --public-ip",
					"port", port,
					"seen", found.Port(),
				)
			}
		}
		d.known, d.failing = found, false
	}
}

func (d *discoverer) try(ctx context.Context) (netip.AddrPort, error) {
	host, err := ParseSTUN(d.server.cfg.Discover)
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
	// IPv4 first: NAT is a matter of IPv4.
	slices.SortStableFunc(ips, func(a, b netip.Addr) int { return a.Unmap().BitLen() - b.Unmap().BitLen() })
	return d.server.socket.Discover(ctx, netip.AddrPortFrom(ips[0].Unmap(), uint16(number)))
}

// addressWarning explains what is wrong with the announced addresses and what to do about it. It is empty if nothing is
// wrong.
func (s *server) addressWarning() string {
	list := s.socket.Addresses()
	beyondLoopback := func(a netip.AddrPort) bool { return !a.Addr().IsLoopback() }
	switch {
	case slices.ContainsFunc(list, func(a netip.AddrPort) bool { return reachable(a.Addr()) }):
		return ""
	case s.seemsPublic():
		return fmt.Sprintf(
			"The server seems to be public, but it announces only private addresses for its media, which clients outside "+
				"this network cannot reach. Set --public-ip to its public address (and forward UDP and TCP port %d to it), "+
				"or set --discover-public-ip stun:HOST:PORT.",
			s.socket.Port(),
		)
	case len(s.cfg.Interface) > 0 && !slices.ContainsFunc(list, beyondLoopback):
		return "--interface " + strings.Join(s.cfg.Interface, ",") +
			" matches no interface that has an address, so only programs on this machine can reach the media."
	}
	return ""
}

// seemsPublic reports whether the server seems to be meant for the whole internet.
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

// publicHost reports whether host is a public address, or a name that may exist in the public DNS.
func publicHost(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if ip, err := netip.ParseAddr(host); err == nil {
		return reachable(ip)
	}
	at := strings.LastIndex(host, ".")
	return at >= 0 && !slices.Contains(privateDomains, host[at+1:])
}

// privateDomains are top-level domains that do not exist in the public DNS, or hold no hosts there.
var privateDomains = []string{
	"local", "localhost", "internal", "lan", "home", "arpa", "test", "invalid", "intranet", "corp", "private",
}

var sharedAddresses = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598

// reachable reports whether an address may be reachable from the internet.
func reachable(ip netip.Addr) bool {
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !sharedAddresses.Contains(ip)
}
