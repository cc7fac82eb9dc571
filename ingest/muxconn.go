package ingest

import (
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"siaran/mediaport"

	"github.com/pion/stun"
)

const queueLength = 512 // datagrams that may wait for a session; a key frame of 500 KB

// muxSession is one session's share of the media port. It is the ice.UDPMux of that session's agent.
type muxSession struct {
	mux        *mux
	endpoint   *mediaport.Endpoint
	v4, v6     *muxConn       // v4 is nil when no IPv4 address is announced
	tcp4, tcp6 *tcpPacketConn // nil when TCP is not taken

	path atomic.Int32 // by which the newest packet of media came

	sent atomic.Pointer[remote] // the last one sent to, if it is proven

	mu       sync.Mutex
	left     bool
	bound    map[netip.AddrPort]*remote
	asked    asked
	ids      mediaport.RecentIDs
	tcpConns map[netip.AddrPort]*tcpConn // nil when TCP is not taken
	generations
	filter
}

var _ mediaport.Handler = (*muxSession)(nil)

// HandleCheck implements mediaport.Handler. Anyone who sees a check knows the name in it; a session's places are for
// those who know its password too, and not for who sends a captured one again.
func (s *muxSession) HandleCheck(b []byte, from netip.AddrPort, local netip.Addr) {
	if len(b) >= maxDatagram {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	used := s.named(mediaport.RequestUfrag(b))
	if s.left || used == nil {
		return
	}
	told, nominates := s.inwardCheck(b, used)
	if told == nil {
		return
	}
	r := s.bound[from]
	if !s.ids.Add(mediaport.TransactionID(b[8:20])) {
		// From the same address it is a retransmission, which wants its answer again. From elsewhere it is a copy.
		if r != nil {
			s.push(told, r, local)
		}
		return
	}
	now := time.Now()
	if r == nil {
		if r = s.bindOrEvict(from, now); r == nil {
			return
		}
	}
	r.claim.Vouch(now)
	r.in += len(b)
	s.check(&r.standing, used, nominates)
	if nominates && !r.proven && used != s.first {
		r.nomination = told
	}
	s.push(told, r, local)
}

// HandleAnswer implements mediaport.Handler. Each answer comes once, whoever has captured it.
func (s *muxSession) HandleAnswer(b []byte, from netip.AddrPort, _ netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.bound[from]; r != nil {
		s.endpoint.Forget(mediaport.TransactionID(b[8:20]))
		if told := s.inwardAnswer(b); told != nil {
			r.answers(told)
			s.push(told, r, netip.Addr{})
			if r.proven && r.nomination != nil {
				s.push(r.nomination, r, netip.Addr{})
				r.nomination = nil
			}
		}
	}
}

// HandlePacket implements mediaport.Handler.
func (s *muxSession) HandlePacket(b []byte, from netip.AddrPort, _ netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.bound[from]; r != nil {
		s.push(b, r, netip.Addr{})
	}
}

// Panicked implements mediaport.Handler. A panic here costs the datagram alone.
func (s *muxSession) Panicked() {}

// push queues a datagram, or drops it when the session is behind. A check comes with our address that it was sent to.
// The caller holds mu.
func (s *muxSession) push(data []byte, r *remote, local netip.Addr) {
	c := s.v6
	if r.claim.Address().Addr().Is4() {
		c = s.v4
	}
	if c == nil || len(data) >= maxDatagram || !s.passes(data) {
		return
	}
	if r.relayed {
		s.cameBy(pathRelayed, data)
	} else {
		s.cameBy(pathUDP, data)
	}
	d := datagram{buf: buffers.Get().(*[maxDatagram]byte), from: r.udp}
	if local.IsValid() {
		d.reached = func() { r.reached(local, s.mux.port) }
	}
	d.n = copy(d.buf[:], data)
	select {
	case c.queue <- d:
	default:
		buffers.Put(d.buf)
	}
}

const (
	pathUDP = iota
	pathTCP
	pathRelayed
)

var pathNames = [...]string{pathUDP: "udp", pathTCP: "tcp", pathRelayed: "relayed"}

// cameBy notes the path by which a packet of media came.
func (s *muxSession) cameBy(path int32, data []byte) {
	if s.path.Load() != path && isRTP(data) {
		s.path.Store(path)
	}
}

// network is the transport by which the newest packet of media came.
func (s *muxSession) network() string { return pathNames[s.path.Load()] }

// conns are all that pion reads from. Those that do not exist are nil.
func (s *muxSession) conns() [4]*muxConn {
	all := [4]*muxConn{s.v4, s.v6}
	if s.tcp4 != nil {
		all[2], all[3] = s.tcp4.muxConn, s.tcp6.muxConn
	}
	return all
}

// shut ends the reads.
func (s *muxSession) shut() {
	for _, c := range s.conns() {
		if c != nil {
			_ = c.Close()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.tcpConns {
		c.close()
	}
}

// GetListenAddresses gives pion one address of each family, since all are one socket. With more, several goroutines
// would read from it and reorder packets.
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

// RemoveConnByUfrag is part of ice.UDPMux. It does nothing: pion also calls it before a session begins, and the
// transport leaves the mux when its agent has ended.
func (s *muxSession) RemoveConnByUfrag(string) {}

// Close is part of ice.UDPMux; pion never calls it.
func (s *muxSession) Close() error { return nil }

type datagram struct {
	buf     *[maxDatagram]byte
	n       int
	from    net.Addr
	reached func() // of a check, notes which of our addresses it was sent to
}

var buffers = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// relayName is the name (RFC 3849) that pion has for our end of what comes through the relay if no IPv6 address is
// announced.
var relayName = &net.UDPAddr{IP: net.ParseIP("2001:db8::2"), Port: 9}

// muxConn is the net.PacketConn of a session for one address family.
type muxConn struct {
	session *muxSession
	local   net.Addr
	queue   chan datagram // never closed
	closed  chan struct{}
	closing atomic.Bool

	relayedOnly bool // only clients of the relay are sent to
}

func newMuxConn(s *muxSession, local net.Addr) *muxConn {
	return &muxConn{session: s, local: local, queue: make(chan datagram, queueLength), closed: make(chan struct{})}
}

// ReadFrom implements net.PacketConn.
func (c *muxConn) ReadFrom(b []byte) (int, net.Addr, error) {
	if c.closing.Load() {
		return 0, nil, io.EOF
	}
	select {
	case d := <-c.queue:
		n := copy(b, d.buf[:d.n])
		buffers.Put(d.buf)
		if d.reached != nil {
			d.reached() // now and not when it arrived: pion answers each check before it reads the next
		}
		return n, d.from, nil
	case <-c.closed:
		return 0, nil, io.EOF
	}
}

// WriteTo sends through the media port. Errors of the system are passed on to pion.
func (c *muxConn) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.closing.Load() {
		return 0, io.ErrClosedPipe
	}
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, net.InvalidAddrError("not a UDP address")
	}
	addr := plain(udp)
	if c.relayedOnly && !mediaport.Relayed(addr) {
		return len(b), nil
	}
	s := c.session
	r, control := s.sent.Load(), stun.IsMessage(b)
	if control || r == nil || r.claim.Address() != addr {
		if r = s.maySend(b, addr); r == nil {
			return len(b), nil // lost, as on the network
		}
	}
	data := b
	if control {
		data = s.outward(b, s.iceAt(r), s.mappedFor(r))
	}
	if err := s.mux.port.Send(data, r.path.Load()); err != nil {
		return 0, err
	}
	return len(b), nil
}

// mappedFor is the address that answers to checks from r name instead of the one that it is known by here; invalid:
// the same. A client of the relay knows nothing of the latter, and some clients take only an answer that names a
// candidate of theirs (RFC 8445 section 7.2.5.3.1).
func (s *muxSession) mappedFor(r *remote) netip.AddrPort {
	if mapped := s.mux.port.Mapped(r.claim.Address()); mapped != r.claim.Address() {
		return mapped
	}
	return netip.AddrPort{}
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
