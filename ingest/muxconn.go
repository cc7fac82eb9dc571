package ingest

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	queueLength = 512 // datagrams a session may be behind; a key frame of 500 KB
	maxSources  = 64  // SSRCs that a session may bring
)

// muxSession is one session's share of the socket. It is the ice.UDPMux of that session's agent.
type muxSession struct {
	mux             *mux
	ufrag, password string
	v4, v6          *muxConn     // nil when no such address is announced
	tcp4, tcp6      *streamShare // nil when TCP is not taken

	overTCP atomic.Bool // the newest packet of media has come over TCP

	sent atomic.Pointer[netip.AddrPort] // the address last sent to, known to be noted

	// guarded by mux.mu
	bound   map[netip.AddrPort]struct{}
	sources map[uint32]struct{}
	streams map[netip.AddrPort]*stream // nil when TCP is not taken
}

// bind counts an address in. The caller holds mux.mu.
func (s *muxSession) bind(addr netip.AddrPort) bool {
	if _, known := s.bound[addr]; known {
		return true
	}
	if len(s.bound) >= maxBound {
		return false
	}
	s.bound[addr] = struct{}{}
	return true
}

// push queues a datagram, or drops it when the session is behind. The caller holds mux.mu.
func (s *muxSession) push(data []byte, from *net.UDPAddr, addr netip.AddrPort) {
	c := s.v6
	if addr.Addr().Is4() {
		c = s.v4
	}
	if c == nil || !s.admits(data) {
		return
	}
	if s.overTCP.Load() && isRTP(data) {
		s.overTCP.Store(false)
	}
	d := datagram{buf: buffers.Get().(*[maxDatagram]byte), from: from}
	d.n = copy(d.buf[:], data)
	select {
	case c.queue <- d:
	default:
		buffers.Put(d.buf)
	}
}

// conns are all that pion reads from. Those there are not are nil.
func (s *muxSession) conns() [4]*muxConn {
	all := [4]*muxConn{s.v4, s.v6}
	if s.streams != nil {
		all[2], all[3] = s.tcp4.muxConn, s.tcp6.muxConn
	}
	return all
}

// admits refuses RTP of ever more sources: pion keeps state for each SSRC before it has
// checked that the packet is the broadcaster's.
func (s *muxSession) admits(data []byte) bool {
	if !isRTP(data) {
		return true
	}
	ssrc := uint32(data[8])<<24 | uint32(data[9])<<16 | uint32(data[10])<<8 | uint32(data[11])
	if _, known := s.sources[ssrc]; known {
		return true
	}
	if len(s.sources) >= maxSources {
		return false
	}
	if s.sources == nil {
		s.sources = make(map[uint32]struct{})
	}
	s.sources[ssrc] = struct{}{}
	return true
}

// isRTP tells media from all else (RFC 7983, RFC 5761 section 4).
func isRTP(data []byte) bool {
	return len(data) >= 12 && data[0]>>6 == 2 && (data[1] < 192 || data[1] > 223)
}

// shut ends the reads. The caller holds mux.mu.
func (s *muxSession) shut() {
	for _, c := range s.conns() {
		if c != nil && !c.closing.Swap(true) {
			close(c.closed)
		}
	}
	for _, c := range s.streams {
		c.close()
	}
}

// GetListenAddresses gives pion one address of each family, since all are one socket: more
// would have several goroutines read from it and so disorder the packets.
func (s *muxSession) GetListenAddresses() []net.Addr {
	var list []net.Addr
	for _, c := range []*muxConn{s.v4, s.v6} {
		if c != nil {
			list = append(list, c.local)
		}
	}
	return list
}

// GetConn returns the share of the socket for an address of GetListenAddresses.
func (s *muxSession) GetConn(_ string, addr net.Addr) (net.PacketConn, error) {
	for _, c := range []*muxConn{s.v4, s.v6} {
		if c != nil && c.local.String() == addr.String() {
			return c, nil
		}
	}
	return nil, net.ErrClosed
}

// RemoveConnByUfrag is part of ice.UDPMux. It does nothing: pion calls it also before a session
// begins, and the transport leaves the mux when its agent has ended.
func (s *muxSession) RemoveConnByUfrag(string) {}

// Close is part of ice.UDPMux; pion never calls it.
func (s *muxSession) Close() error { return nil }

type datagram struct {
	buf  *[maxDatagram]byte
	n    int
	from net.Addr
}

var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// relayName is what pion calls our end of what comes through the relay where no IPv6 address is announced (RFC 3849).
var relayName = &net.UDPAddr{IP: net.ParseIP("2001:db8::2"), Port: 9}

// muxConn is the net.PacketConn of a session for one address family.
type muxConn struct {
	session *muxSession
	local   net.Addr
	queue   chan datagram // never closed
	closed  chan struct{}
	closing atomic.Bool
	only    netip.Prefix // when valid, nothing is sent elsewhere
}

func newMuxConn(s *muxSession, local net.Addr) *muxConn {
	return &muxConn{session: s, local: local, queue: make(chan datagram, queueLength), closed: make(chan struct{})}
}

func (c *muxConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.closing.Load() {
		return 0, nil, io.EOF
	}
	select {
	case d := <-c.queue:
		n := copy(b, d.buf[:d.n])
		buffers.Put(d.buf)
		return n, d.from, nil
	case <-c.closed:
		return 0, nil, io.EOF
	}
}

// WriteTo sends through the shared socket. Errors of it are told as pion expects them.
func (c *muxConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.closing.Load() {
		return 0, io.ErrClosedPipe
	}
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	addr := plain(udp)
	if c.only.IsValid() && !c.only.Contains(addr.Addr()) {
		return len(b), nil
	}
	if last := c.session.sent.Load(); last == nil || *last != addr {
		if !c.session.mux.sends(c.session, addr) {
			return 0, net.InvalidAddrError("the session sends to too many addresses")
		}
		c.session.sent.Store(&addr)
	}
	return c.session.mux.conn.WriteTo(b, udp)
}

// Close ends the reads of this family; the session stays in the mux until its agent has ended.
func (c *muxConn) Close() error {
	if !c.closing.Swap(true) {
		close(c.closed)
	}
	return nil
}

func (c *muxConn) LocalAddr() net.Addr              { return c.local }
func (c *muxConn) SetDeadline(time.Time) error      { return nil }
func (c *muxConn) SetReadDeadline(time.Time) error  { return nil }
func (c *muxConn) SetWriteDeadline(time.Time) error { return nil }
