package egress

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/transport/v5/deadline"

	"siaran/internal/dtlsguard"
)

const dtlsQueue = 32 // datagrams of a handshake that may wait to be read

// dtlsConn is a link in the form of the net.PacketConn that pion/dtls expects. It passes on what [dtlsguard] admits.
//
// Processing a datagram of a handshake costs more than anything else here, so the number of datagrams that are
// processed at a time is limited by slots. A slot is taken with each datagram and released when the next one is asked
// for, or when the handshake is over: a viewer that falls silent blocks nobody.
type dtlsConn struct {
	link     *link
	queue    chan []byte
	done     chan struct{}
	once     sync.Once
	deadline *deadline.Deadline
	guard    dtlsguard.Budget // of what push has let through; the caller of push's

	slots   chan struct{} // a token for each slot in use; nil: no limit. Set before the handshake begins
	hasSlot atomic.Bool   // this connection has a slot

	finished chan struct{} // closed when reading must end after what is queued

	mu       sync.Mutex
	detached bool     // nothing is sent any more
	ended    bool     // dtls has been told that nothing comes any more, and has stopped reading
	atEnd    func()   // called when it is; nil: nobody waits
	flight   [][]byte // what has been sent since the last datagram was read
	fresh    bool     // a datagram has been read since the last one was sent
}

func newDTLSConn(l *link) *dtlsConn {
	return &dtlsConn{
		link: l, queue: make(chan []byte, dtlsQueue), done: make(chan struct{}), finished: make(chan struct{}),
		deadline: deadline.New(),
	}
}

// push queues a datagram. It fails when the handshake has had more than any handshake needs. It is called by one
// goroutine at a time.
func (c *dtlsConn) push(b []byte) error {
	switch err := c.guard.Admit(b); err {
	case nil:
	case dtlsguard.ErrSpent:
		return err
	default:
		c.link.drops.handshake.Add(1)
		return nil
	}
	select {
	case c.queue <- append([]byte(nil), b...):
	default:
		c.link.drops.handshake.Add(1)
	}
	return nil
}

// finish lets dtls read what is queued and nothing more. It is called once, and nothing is pushed afterwards.
func (c *dtlsConn) finish() { close(c.finished) }

func (c *dtlsConn) closed() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// ReadFrom implements net.PacketConn; dtls reads from one goroutine.
func (c *dtlsConn) ReadFrom(b []byte) (int, net.Addr, error) {
	c.leaveSlot()
	datagram, err := c.next()
	if err == nil {
		err = c.takeSlot()
	}
	if err != nil {
		c.end()
		return 0, nil, err
	}
	c.mu.Lock()
	c.fresh = true
	c.mu.Unlock()
	return copy(b, datagram), c.remote(), nil
}

// end notes that dtls has read everything that it gets.
func (c *dtlsConn) end() {
	c.mu.Lock()
	f := c.atEnd
	c.ended = true
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// whenEnded calls f once dtls has read everything that it gets.
func (c *dtlsConn) whenEnded(f func()) {
	c.mu.Lock()
	ended := c.ended
	c.atEnd = f
	c.mu.Unlock()
	if ended {
		f()
	}
}

// isEnded reports whether dtls has read everything that it gets.
func (c *dtlsConn) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

func (c *dtlsConn) next() ([]byte, error) {
	select {
	case d := <-c.queue:
		return d, nil
	case <-c.finished:
		select {
		case d := <-c.queue:
			return d, nil
		default:
			return nil, net.ErrClosed
		}
	case <-c.done:
		return nil, net.ErrClosed
	case <-c.deadline.Done():
		return nil, context.DeadlineExceeded
	}
}

func (c *dtlsConn) takeSlot() error {
	select {
	case <-c.finished: // by then dtls only waits
		return nil
	default:
	}
	if c.slots == nil {
		return nil
	}
	select {
	case c.slots <- struct{}{}:
		c.hasSlot.Store(true)
		return nil
	case <-c.done:
		return net.ErrClosed
	case <-c.deadline.Done():
		return context.DeadlineExceeded
	}
}

func (c *dtlsConn) leaveSlot() {
	if c.hasSlot.CompareAndSwap(true, false) {
		<-c.slots
	}
}

// WriteTo implements net.PacketConn. It sends by the selected path, whatever address dtls names.
func (c *dtlsConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.detached {
		return len(b), nil
	}
	if c.fresh {
		c.flight, c.fresh = nil, false
	}
	if len(c.flight) < dtlsQueue {
		c.flight = append(c.flight, append([]byte(nil), b...))
	}
	if to := c.link.selected.Load(); to != nil {
		c.link.transmit(b, to.path)
	}
	return len(b), nil
}

// detach stops all writing and returns the last flight that was sent.
func (c *dtlsConn) detach() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.detached = true
	return c.flight
}

// Close implements net.PacketConn.
func (c *dtlsConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *dtlsConn) LocalAddr() net.Addr {
	return net.UDPAddrFromAddrPort(c.link.socket.Local())
}

// SetDeadline implements net.PacketConn.
func (c *dtlsConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *dtlsConn) SetReadDeadline(t time.Time) error {
	c.deadline.Set(t)
	return nil
}

// SetWriteDeadline implements net.PacketConn; writes never wait.
func (c *dtlsConn) SetWriteDeadline(time.Time) error { return nil }
