package ingest

import (
	"maps"
	"net"
	"net/netip"
	"slices"
	"sync"

	"siaran/internal/fault"
	"siaran/internal/sdp"
	"siaran/mediaport"
)

// maxDatagram bounds datagrams, in bytes: one of this length may have been truncated and is dropped.
const maxDatagram = mediaport.MaxDatagram

// mux gives each session its share of the media port. A STUN request goes by the user name in it, which we have chosen;
// everything else goes by the remote address. An address belongs to the session for which it has sent such a request,
// never to a session that merely names it among its candidates, so no broadcaster can divert the media of another.
// pion's own mux differs there.
type mux struct {
	port   *mediaport.Socket
	faults *fault.Log

	mu     sync.Mutex // taken last
	closed bool
	names  map[string]*muxSession // by user name fragment
}

func newMux(port *mediaport.Socket) *mux {
	return &mux{port: port, faults: port.Faults(), names: make(map[string]*muxSession)}
}

// close ends the reads of all sessions. The port stays open for its owner to close.
func (m *mux) close() {
	m.mu.Lock()
	m.closed = true
	list := slices.Collect(maps.Values(m.names))
	m.mu.Unlock()
	for _, s := range list {
		s.shut()
	}
}

// session opens a session's share of the port under its user name fragment. spent is called if the handshake takes more
// than any handshake needs; it must not block.
func (m *mux) session(l local, offer *sdp.Offer, spent func()) (*muxSession, error) {
	s := &muxSession{mux: m, bound: make(map[netip.AddrPort]*remote)}
	s.first = &credentials{l.ufrag, l.password, offer.Ufrag, offer.Password}
	s.ice = s.first
	s.endpoint = m.port.NewEndpoint(l.ufrag, s)
	s.expect(offer, spent)
	for _, a := range l.addresses {
		family := &s.v6
		if a.Addr().Unmap().Is4() {
			family = &s.v4
		}
		if *family == nil {
			*family = newMuxConn(s, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.Addr().Unmap(), a.Port())))
		}
	}
	if s.v6 == nil { // clients of the relay have IPv6 addresses
		s.v6 = newMuxConn(s, relayName)
		s.v6.relayedOnly = true
	}
	if len(l.tcp) > 0 {
		s.tcpConns = make(map[netip.AddrPort]*tcpConn)
		s.tcp4, s.tcp6 = newTCPPacketConn(s, tcpName4), newTCPPacketConn(s, tcpName6)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, net.ErrClosed
	}
	m.names[l.ufrag] = s
	s.endpoint.Open()
	return s, nil
}

// name gives a session one more user name fragment.
func (m *mux) name(ufrag string, s *muxSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[ufrag] = s
}

// unname takes a user name fragment from a session.
func (m *mux) unname(ufrag string, s *muxSession) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[ufrag] == s {
		delete(m.names, ufrag)
	}
}

// find is the session with a user name fragment, or nil.
func (m *mux) find(ufrag string) *muxSession {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.names[ufrag]
}

// leave forgets a session. It may be called more than once.
func (m *mux) leave(s *muxSession) {
	s.mu.Lock()
	left := s.left
	s.left = true
	m.unname(s.ice.ufrag, s)
	if s.next != nil {
		m.unname(s.next.ufrag, s)
	}
	s.forgetAnswers()
	claims := make([]*mediaport.Claim, 0, len(s.bound))
	for addr, r := range s.bound {
		claims = append(claims, r.claim)
		delete(s.bound, addr)
	}
	s.mu.Unlock()
	s.shut()
	if !left {
		s.endpoint.Close(claims...)
	}
}

func plain(a *net.UDPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
