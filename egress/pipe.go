package egress

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v2/deadline"
)

const dtlsQueue = 32 // datagrams of a handshake that wait to be read

// dtlsPipe is a link as the net.Conn that dtls wants.
//
// What dtls does with a datagram of a handshake costs more than anything else here, so there are few places to do it in. One is taken with each
// datagram and left when the next is asked for, or the handshake is over: who says nothing more keeps nobody waiting.
type dtlsPipe struct {
	link     *link
	queue    chan []byte
	done     chan struct{}
	once     sync.Once
	deadline *deadline.Deadline

	peeked [][]byte // read before the handshake began, to be read again; dtls's reader's

	places chan struct{} // holds a token for each that is taken; nil: there are enough. Set before the handshake begins
	placed atomic.Bool   // has one

	finished chan struct{} // closed when reading is to end after what is queued

	mu     sync.Mutex
	mute   bool     // nothing is sent any more
	flight [][]byte // what has been sent since the last datagram was read
	fresh  bool     // a datagram has been read since the last one was sent
}

func newPipe(l *link) *dtlsPipe {
	return &dtlsPipe{link: l, queue: make(chan []byte, dtlsQueue), done: make(chan struct{}), finished: make(chan struct{}), deadline: deadline.New()}
}

// push takes a datagram from the socket's reader. False: the queue is full.
func (p *dtlsPipe) push(b []byte) bool {
	select {
	case p.queue <- append([]byte(nil), b...):
		return true
	default:
		return false
	}
}

// finish lets dtls read what is queued and no more. It is called once, and nothing is pushed afterwards.
func (p *dtlsPipe) finish() { close(p.finished) }

func (p *dtlsPipe) closed() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
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
	p.leavePlace()
	datagram, err := p.next()
	if err == nil {
		err = p.takePlace()
	}
	if err != nil {
		return 0, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = true
	return copy(b, datagram), nil
}

func (p *dtlsPipe) next() ([]byte, error) {
	if len(p.peeked) > 0 {
		d := p.peeked[0]
		p.peeked = p.peeked[1:]
		return d, nil
	}
	select {
	case d := <-p.queue:
		return d, nil
	case <-p.finished:
		select {
		case d := <-p.queue:
			return d, nil
		default:
			return nil, net.ErrClosed
		}
	case <-p.done:
		return nil, net.ErrClosed
	case <-p.deadline.Done():
		return nil, context.DeadlineExceeded
	}
}

func (p *dtlsPipe) takePlace() error {
	select {
	case <-p.finished: // dtls only waits by then
		return nil
	default:
	}
	if p.places == nil {
		return nil
	}
	select {
	case p.places <- struct{}{}:
		p.placed.Store(true)
		return nil
	case <-p.done:
		return net.ErrClosed
	case <-p.deadline.Done():
		return context.DeadlineExceeded
	}
}

func (p *dtlsPipe) leavePlace() {
	if p.placed.CompareAndSwap(true, false) {
		<-p.places
	}
}

// Write implements net.Conn.
func (p *dtlsPipe) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mute {
		return len(b), nil
	}
	if p.fresh {
		p.flight, p.fresh = nil, false
	}
	if len(p.flight) < dtlsQueue {
		p.flight = append(p.flight, append([]byte(nil), b...))
	}
	if to := p.link.selected.Load(); to != nil {
		p.link.socket.send(b, to)
	}
	return len(b), nil
}

// silence stops all writing and returns the last flight that was sent.
func (p *dtlsPipe) silence() [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = true
	return p.flight
}

// Close implements net.Conn.
func (p *dtlsPipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

// LocalAddr implements net.Conn.
func (p *dtlsPipe) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(p.link.socket.ports[0].local())
}

// RemoteAddr implements net.Conn.
func (p *dtlsPipe) RemoteAddr() net.Addr {
	if to := p.link.selected.Load(); to != nil {
		return net.UDPAddrFromAddrPort(to.address)
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
