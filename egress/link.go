package egress

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
	"github.com/pion/stun"
	"github.com/pion/transport/v2/deadline"
)

const dtlsQueue = 32 // datagrams of a handshake that wait to be read

// link is a viewer's network side. The socket's reader brings checks and datagrams, the
// session does the handshake, and from then on the viewer's worker sends and decrypts.
type link struct {
	socket      *Socket
	ufrag, pwd  string // ours
	remoteUfrag string
	integrity   stun.MessageIntegrity // with our password, which checks and their answers both use
	found       chan struct{}         // closed with the first right check
	dtls        *dtlsPipe
	rtcp        func([]byte) // takes a copy of an SRTCP datagram; set before the link is registered
	selected    atomic.Pointer[netip.AddrPort]
	lastCheck   atomic.Int64  // unix nanoseconds
	out, in     *srtp.Context // set by the handshake; then the worker's
	header      rtp.Header    // the worker's; saves an allocation a packet
	sealed      []byte        // the worker's

	mu      sync.Mutex
	closed  bool
	sources []source
}

// source is an address that right checks have come from.
type source struct {
	address netip.AddrPort
	seen    time.Time
}

func newLink(s *Socket, ufrag, pwd, remoteUfrag string) *link {
	l := &link{
		socket: s, ufrag: ufrag, pwd: pwd, remoteUfrag: remoteUfrag,
		integrity: stun.NewShortTermIntegrity(pwd),
		found:     make(chan struct{}),
		sealed:    make([]byte, 0, maxDatagram),
	}
	l.dtls = &dtlsPipe{link: l, queue: make(chan []byte, dtlsQueue), done: make(chan struct{}), deadline: deadline.New()}
	return l
}

func (l *link) handleDTLS(b []byte) {
	select {
	case l.dtls.queue <- append([]byte(nil), b...):
	default:
		l.socket.drops.dtls.Add(1)
	}
}

func (l *link) handleRTCP(b []byte) { l.rtcp(append([]byte(nil), b...)) }

// sendRTP encrypts and sends one packet, header and payload in plain. Only the worker calls it.
func (l *link) sendRTP(plain []byte) error {
	to := l.selected.Load()
	sealed, err := l.out.EncryptRTP(l.sealed[:cap(l.sealed)], plain, &l.header)
	if err != nil {
		return err
	}
	l.socket.send(sealed, *to)
	return nil
}

// sendRTCP encrypts and sends a compound packet. Only the worker calls it.
func (l *link) sendRTCP(packets []rtcp.Packet) error {
	plain, err := rtcp.Marshal(packets)
	if err != nil {
		return err
	}
	sealed, err := l.out.EncryptRTCP(nil, plain, nil)
	if err != nil {
		return err
	}
	l.socket.send(sealed, *l.selected.Load())
	return nil
}

// close forgets the link; no check is answered from then on.
func (l *link) close() {
	l.mu.Lock()
	l.closed = true
	addresses := make([]netip.AddrPort, len(l.sources))
	for i, s := range l.sources {
		addresses[i] = s.address
	}
	l.mu.Unlock()
	l.socket.unregister(l, addresses)
}

// dtlsPipe is the link as the net.Conn that dtls wants.
type dtlsPipe struct {
	link     *link
	queue    chan []byte
	peeked   [][]byte // read before the handshake began, to be read again
	done     chan struct{}
	once     sync.Once
	deadline *deadline.Deadline
}

// peek waits for the next datagram and keeps it for Read. It is called before the handshake only.
func (p *dtlsPipe) peek(ctx context.Context) ([]byte, error) {
	select {
	case b := <-p.queue:
		p.peeked = append(p.peeked, b)
		return b, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Read implements net.Conn; dtls reads from one goroutine.
func (p *dtlsPipe) Read(b []byte) (int, error) {
	if len(p.peeked) > 0 {
		n := copy(b, p.peeked[0])
		p.peeked = p.peeked[1:]
		return n, nil
	}
	select {
	case d := <-p.queue:
		return copy(b, d), nil
	case <-p.done:
		return 0, net.ErrClosed
	case <-p.deadline.Done():
		return 0, context.DeadlineExceeded
	}
}

// Write implements net.Conn.
func (p *dtlsPipe) Write(b []byte) (int, error) {
	if to := p.link.selected.Load(); to != nil {
		p.link.socket.send(b, *to)
	}
	return len(b), nil
}

// Close implements net.Conn.
func (p *dtlsPipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// LocalAddr implements net.Conn.
func (p *dtlsPipe) LocalAddr() net.Addr { return p.link.socket.conn.LocalAddr() }

// RemoteAddr implements net.Conn.
func (p *dtlsPipe) RemoteAddr() net.Addr {
	if to := p.link.selected.Load(); to != nil {
		return net.UDPAddrFromAddrPort(*to)
	}
	return &net.UDPAddr{}
}

// SetDeadline implements net.Conn.
func (p *dtlsPipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

// SetReadDeadline implements net.Conn.
func (p *dtlsPipe) SetReadDeadline(t time.Time) error {
	p.deadline.Set(t)
	return nil
}

// SetWriteDeadline implements net.Conn; writes never wait.
func (p *dtlsPipe) SetWriteDeadline(time.Time) error { return nil }
