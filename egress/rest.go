package egress

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// restConn is the socket as a net.PacketConn for the ICE of broadcasters.
type restConn struct {
	socket *Socket
	queue  chan *restDatagram
	ended  chan struct{}
	once   sync.Once
	pool   sync.Pool

	mu       sync.Mutex
	locals   map[netip.AddrPort]netip.Addr // which of our addresses a broadcaster has asked
	deadline time.Time
	changed  chan struct{} // closed when the deadline changes
}

type restDatagram struct {
	bytes  [maxDatagram]byte
	length int
	from   netip.AddrPort
}

func newRestConn(s *Socket) *restConn {
	return &restConn{
		socket: s, queue: make(chan *restDatagram, restQueue), ended: make(chan struct{}), changed: make(chan struct{}),
		pool: sync.Pool{New: func() any { return new(restDatagram) }},
	}
}

func (c *restConn) push(b []byte, from netip.AddrPort) {
	d := c.pool.Get().(*restDatagram)
	d.length, d.from = copy(d.bytes[:], b), from
	select {
	case c.queue <- d:
	default:
		c.pool.Put(d)
		c.socket.drops.rest.Add(1)
	}
}

// maxLocals is more than the addresses of all broadcasters. When there are more, junk is among them, and all are learnt anew.
const maxLocals = 4096

// reached learns which of our addresses a broadcaster's checks have come to, so that what is sent to it leaves from there.
func (c *restConn) reached(from netip.AddrPort, local netip.Addr) {
	if !local.IsValid() {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.locals == nil || len(c.locals) >= maxLocals {
		c.locals = make(map[netip.AddrPort]netip.Addr)
	}
	c.locals[from] = local
}

func (c *restConn) asked(by netip.AddrPort) netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.locals[by]
}

func (c *restConn) end() { c.once.Do(func() { close(c.ended) }) }

// ReadFrom implements net.PacketConn.
func (c *restConn) ReadFrom(p []byte) (int, net.Addr, error) {
	for {
		c.mu.Lock()
		deadline, changed := c.deadline, c.changed
		c.mu.Unlock()
		var expired <-chan time.Time
		if !deadline.IsZero() {
			timer := time.NewTimer(time.Until(deadline))
			defer timer.Stop()
			expired = timer.C
		}
		select {
		case d := <-c.queue:
			n, from := copy(p, d.bytes[:d.length]), net.UDPAddrFromAddrPort(d.from)
			c.pool.Put(d)
			return n, from, nil
		case <-c.ended:
			return 0, nil, net.ErrClosed
		case <-expired:
			return 0, nil, os.ErrDeadlineExceeded
		case <-changed:
		}
	}
}

// WriteTo implements net.PacketConn.
func (c *restConn) WriteTo(p []byte, to net.Addr) (int, error) {
	udp, ok := to.(*net.UDPAddr)
	if !ok {
		return 0, fmt.Errorf("write to a %T", to)
	}
	address := udp.AddrPort()
	address = netip.AddrPortFrom(address.Addr().Unmap(), address.Port())
	way := c.socket.path(address, c.asked(address))
	if way.relayed {
		c.socket.relays.send(p, len(p), way.address)
		return len(p), nil
	}
	if err := c.socket.ports[0].send(p, way); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Release says that the broadcaster that used an address has gone.
func (c *restConn) Release(address netip.AddrPort) {
	c.socket.relays.release([]netip.AddrPort{address})
}

// Close implements net.PacketConn; see Socket.BroadcasterConn.
func (c *restConn) Close() error { return nil }

// LocalAddr implements net.PacketConn.
func (c *restConn) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(c.socket.ports[0].local()) }

// SetDeadline implements net.PacketConn.
func (c *restConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetReadDeadline implements net.PacketConn.
func (c *restConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// SetWriteDeadline implements net.PacketConn; writes never wait.
func (c *restConn) SetWriteDeadline(time.Time) error { return nil }
