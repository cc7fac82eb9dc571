package ingest

import (
	"io"
	"net"
	"net/netip"

	"github.com/pion/ice/v2"
	pionnet "github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"
)

// What pion calls our end of a TCP connection. It wants a local interface for each TCP candidate, but what
// we announce is in the answer, which pion does not write: one address of each family that is nobody's will do (RFC 5737, RFC 3849).
var (
	tcpName4 = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	tcpName6 = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 9}
)

// streamShare is all TCP connections of a session from one address family, as a net.PacketConn.
type streamShare struct{ *muxConn }

func newStreamShare(s *muxSession, name *net.TCPAddr) *streamShare {
	return &streamShare{newMuxConn(s, name)}
}

// WriteTo sends on the connection from an address. Without one the datagram is lost.
func (c *streamShare) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.closing.Load() {
		return 0, io.ErrClosedPipe
	}
	tcp, ok := to.(*net.TCPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a TCP address")
	}
	addr := tcp.AddrPort()
	s := c.session
	s.mux.mu.Lock()
	stream := s.streams[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
	s.mux.mu.Unlock()
	if stream != nil {
		stream.send(b)
	}
	return len(b), nil
}

// join makes a connection the session's. It may have only so many, and one from each address.
func (s *muxSession) join(c *stream) bool {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.mux.names[s.ufrag] != s || s.streams[c.addr] != nil || len(s.streams) >= maxPerSession {
		return false
	}
	s.streams[c.addr] = c
	return true
}

// part forgets a connection that has ended.
func (s *muxSession) part(c *stream) {
	s.mux.mu.Lock()
	defer s.mux.mu.Unlock()
	if s.streams[c.addr] == c {
		delete(s.streams, c.addr)
	}
}

// take queues a datagram, waiting for room, and tells whether the connection goes on.
func (s *muxSession) take(c *stream, d datagram) bool {
	s.mux.mu.Lock()
	admitted := s.admits(d.buf[:d.n])
	s.mux.mu.Unlock()
	if !admitted {
		buffers.Put(d.buf)
		return true
	}
	if !s.overTCP.Load() && isRTP(d.buf[:d.n]) {
		s.overTCP.Store(true)
	}
	to := s.tcp6
	if c.addr.Addr().Is4() {
		to = s.tcp4
	}
	d.from = c.remote
	select {
	case to.queue <- d:
		return true
	case <-to.closed:
	case <-c.done:
	}
	buffers.Put(d.buf)
	return false
}

// network is what the newest packet of media has come over.
func (s *muxSession) network() string {
	if s.overTCP.Load() {
		return "tcp"
	}
	return "udp"
}

// takeTCP makes pion take the session's TCP connections.
func takeTCP(e *webrtc.SettingEngine, s *muxSession) {
	e.SetICETCPMux(tcpMux{s})
	e.SetNet(names)
	e.SetNetworkTypes([]webrtc.NetworkType{webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6})
}

// tcpMux is the ice.TCPMux of a session's agent.
type tcpMux struct{ session *muxSession }

var _ ice.TCPMux = tcpMux{}

// GetConnByUfrag returns the session's TCP connections.
func (m tcpMux) GetConnByUfrag(_ string, v6 bool, _ net.IP) (net.PacketConn, error) {
	if v6 {
		return m.session.tcp6, nil
	}
	return m.session.tcp4, nil
}

// RemoveConnByUfrag is part of ice.TCPMux. It does nothing; see muxSession.
func (m tcpMux) RemoveConnByUfrag(string) {}

// Close is part of ice.TCPMux; pion never calls it.
func (m tcpMux) Close() error { return nil }

// names is a network for pion whose only interface has the names above.
var names = func() pionnet.Net {
	one := pionnet.NewInterface(net.Interface{Index: 1, MTU: 1500, Name: "streams", Flags: net.FlagUp})
	one.AddAddress(&net.IPNet{IP: tcpName4.IP, Mask: net.CIDRMask(32, 32)})
	one.AddAddress(&net.IPNet{IP: tcpName6.IP, Mask: net.CIDRMask(128, 128)})
	return namesNet{Net: new(stdnet.Net), one: one}
}()

type namesNet struct {
	pionnet.Net
	one *pionnet.Interface
}

func (n namesNet) Interfaces() ([]*pionnet.Interface, error) {
	return []*pionnet.Interface{n.one}, nil
}
