package ingest

import (
	"io"
	"net"
	"net/netip"

	"siaran/mediaport"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
	pionnet "github.com/pion/transport/v2"
	"github.com/pion/transport/v2/stdnet"
	"github.com/pion/webrtc/v3"
)

// The names that pion has for our end of a TCP connection. It wants a local interface for each TCP candidate. What we
// announce is in the answer, which pion does not write, so one documentation address of each family will do (RFC 5737,
// RFC 3849).
var (
	tcpName4 = &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 9}
	tcpName6 = &net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 9}
)

// tcpPacketConn is all TCP connections of a session from one address family, in the form of a net.PacketConn.
type tcpPacketConn struct{ *muxConn }

func newTCPPacketConn(s *muxSession, name *net.TCPAddr) *tcpPacketConn {
	return &tcpPacketConn{newMuxConn(s, name)}
}

// WriteTo sends on the connection from an address. Without a connection the datagram is lost.
func (c *tcpPacketConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.closing.Load() {
		return 0, io.ErrClosedPipe
	}
	tcp, ok := to.(*net.TCPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a TCP address")
	}
	addr := tcp.AddrPort()
	s := c.session
	s.mu.Lock()
	conn := s.tcpConns[netip.AddrPortFrom(addr.Addr().Unmap(), addr.Port())]
	var used *credentials
	if conn != nil {
		used = conn.ice
	}
	s.mu.Unlock()
	if conn == nil {
		return len(b), nil
	}
	data := b
	if stun.IsMessage(b) {
		data = s.outward(b, used, netip.AddrPort{})
	}
	conn.send(data)
	return len(b), nil
}

// join makes a connection the session's, which may have maxPerSession of them, one from each address.
func (s *muxSession) join(c *tcpConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left || s.tcpConns[c.addr] != nil || len(s.tcpConns) >= maxPerSession {
		return false
	}
	s.tcpConns[c.addr] = c
	return true
}

// part forgets a connection that has ended.
func (s *muxSession) part(c *tcpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tcpConns[c.addr] == c {
		delete(s.tcpConns, c.addr)
	}
}

// take queues a datagram, waiting for room, and reports whether the connection goes on.
func (s *muxSession) take(c *tcpConn, d datagram) bool {
	s.mu.Lock()
	passed := s.passes(d.buf[:d.n])
	if passed && stun.IsMessage(d.buf[:d.n]) {
		d.n, passed = s.inward(c, d.buf, d.n)
	}
	s.mu.Unlock()
	if !passed {
		buffers.Put(d.buf)
		return true
	}
	s.cameBy(pathTCP, d.buf[:d.n])
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

// inward translates a STUN message from a connection in place, for pion, and returns its new length. The caller holds
// mu.
func (s *muxSession) inward(c *tcpConn, buf *[maxDatagram]byte, n int) (int, bool) {
	var told []byte
	if ufrag := mediaport.RequestUfrag(buf[:n]); ufrag == "" {
		told = s.inwardAnswer(buf[:n])
	} else if used := s.named(ufrag); used != nil {
		var nominates bool
		if told, nominates = s.inwardCheck(buf[:n], used); told != nil {
			if !c.checked || s.ids.Add(mediaport.TransactionID(buf[8:20])) { // the first counts since sessionOfCheck
				s.check(&c.standing, used, nominates)
			}
			c.checked = true
		}
	}
	if told == nil || len(told) > maxDatagram {
		return 0, false
	}
	return copy(buf[:], told), true
}

// takeTCP makes pion use the session's TCP connections.
func takeTCP(e *webrtc.SettingEngine, s *muxSession) {
	e.SetICETCPMux(tcpMux{s})
	e.SetNet(names)
	e.SetNetworkTypes([]webrtc.NetworkType{
		webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6, webrtc.NetworkTypeTCP4, webrtc.NetworkTypeTCP6,
	})
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
