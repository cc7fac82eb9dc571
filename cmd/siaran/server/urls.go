package server

import (
	"net"
	"net/netip"
	"strings"
)

// localURL returns the URL at which this process reaches its own HTTP port.
func (s *server) localURL() string {
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	ip := bound.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return withPort(s.scheme(), ip.String(), int(bound.Port()))
}

// publicURL returns the URL at which people reach the server, as far as that is known.
func (s *server) publicURL() string {
	if s.cfg.BaseURL != "" {
		return s.cfg.BaseURL
	}
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	if name := s.ownName(); name != "" {
		return withPort(s.scheme(), name, int(bound.Port()))
	}
	if bound.Addr().Unmap().IsUnspecified() {
		return withPort(s.scheme(), "localhost", int(bound.Port()))
	}
	return s.localURL()
}

// nodeURL returns publicURL for other servers. It is empty if no name is known that means this server on other machines
// too.
func (s *server) nodeURL() string {
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if s.cfg.BaseURL == "" && s.ownName() == "" && bound.IsUnspecified() {
		return ""
	}
	return s.publicURL()
}

// plain reports whether other machines can connect over plain HTTP, where tokens can be read in transit (RFC 9725
// section 5).
func (s *server) plain() bool {
	return s.certs == nil &&
		!strings.HasPrefix(s.cfg.BaseURL, "https://") &&
		!s.tcp.Addr().(*net.TCPAddr).IP.IsLoopback()
}
