package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Port is a UDP port. Its methods may be called from any goroutine.
type Port interface {
	Address() netip.AddrPort
	// Sender returns a function that sends to one address, from our local address that its datagrams came to. The
	// function sends runs of datagrams, all of size bytes but the last, and returns how many were lost. It must not
	// wait.
	Sender(to netip.AddrPort, local netip.Addr) func(b []byte, size int) (lost int)
	// Close closes the port and waits for its reader.
	Close() error
}

// Handle receives the datagrams of a port: bytes that are only lent, where they come from, and which of our addresses
// they were sent to, if that is known. It is called from one goroutine.
type Handle func(b []byte, from netip.AddrPort, local netip.Addr)

// udpSocket is a port that clients share. pion's server reads it as a net.PacketConn. The port's reader hands
// requests to pion's goroutine and waits until they are answered, so that there is one request at a time.
type udpSocket struct {
	interposer *interposer
	port       Port
	ready      chan struct{} // closed when port is set

	requests chan struct{} // the interposer has one
	answers  chan struct{}
	done     chan struct{}
	once     sync.Once

	busy bool // pion's goroutine is answering a request; owned by that goroutine
}

func (s *Server) listenUDP(addr string) error {
	u := &udpSocket{
		ready: make(chan struct{}), requests: make(chan struct{}), answers: make(chan struct{}), done: make(chan struct{}),
	}
	u.interposer = newInterposer(s, u)
	port, err := s.cfg.ListenUDP(addr, u.handle)
	if err != nil {
		return err
	}
	u.port = port
	close(u.ready)
	s.running.Add(1) // until ReadFrom has failed
	if _, err := u.interposer.serve(u); err != nil {
		s.running.Done()
		return errors.Join(err, u.Close())
	}
	s.udp = u
	return nil
}

// handle is called by the port's reader.
func (u *udpSocket) handle(b []byte, from netip.AddrPort, local netip.Addr) {
	select {
	case <-u.done:
		return
	case <-u.ready:
	}
	if len(b) >= maxDatagram || !u.interposer.take(b, from, local) {
		return
	}
	select {
	case u.requests <- struct{}{}:
	case <-u.done:
		return
	}
	select {
	case <-u.answers:
	case <-u.done:
	}
}

// ReadFrom implements net.PacketConn: it gives pion the next request.
func (u *udpSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	if u.busy {
		u.busy = false
		select {
		case u.answers <- struct{}{}:
		case <-u.done:
		}
	}
	select {
	case <-u.requests:
		u.busy = true
		r := &u.interposer.request
		return copy(b, r.message.Raw), net.UDPAddrFromAddrPort(r.client), nil
	case <-u.done:
		u.interposer.server.running.Done()
		return 0, nil, net.ErrClosed
	}
}

// WriteTo implements net.PacketConn: it receives pion's answers.
func (u *udpSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	u.interposer.answered(b)
	return len(b), nil
}

func (u *udpSocket) replyPath(to netip.AddrPort, local netip.Addr) replyPath {
	return &udpPath{send: u.port.Sender(to, local)}
}

// udpPath implements replyPath.
type udpPath struct {
	send func(b []byte, size int) (lost int)
}

const runBuffer = 64 << 10 // bytes; longer runs are sent in parts

var runs = sync.Pool{New: func() any { b := make([]byte, 0, runBuffer); return &b }}

func (w *udpPath) data(b []byte, size int, channel uint16, prefix []byte) (lost int) {
	buf := runs.Get().(*[]byte)
	defer runs.Put(buf)
	for len(b) > 0 {
		out, first := (*buf)[:0], 0
		for len(b) > 0 && (first == 0 || len(out)+2*first <= cap(out)) {
			datagram := b[:min(size, len(b))]
			b = b[len(datagram):]
			if channel != 0 {
				out = appendChannelData(out, channel, datagram, false)
			} else {
				out = appendIndication(out, prefix, datagram)
			}
			if first == 0 {
				first = len(out)
			}
		}
		lost += w.send(out, first)
	}
	return lost
}

func (w *udpPath) answer(b []byte) {
	if len(b) > 0 {
		w.send(b, len(b))
	}
}

func (w *udpPath) ended(bool) {}

// Close implements net.PacketConn.
func (u *udpSocket) Close() (err error) {
	u.once.Do(func() {
		close(u.done)
		err = u.port.Close()
	})
	return err
}

// LocalAddr implements net.PacketConn.
func (u *udpSocket) LocalAddr() net.Addr { return net.UDPAddrFromAddrPort(u.port.Address()) }

// SetDeadline implements net.PacketConn.
func (u *udpSocket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (u *udpSocket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (u *udpSocket) SetWriteDeadline(time.Time) error { return nil }

// plainPort is a Port that works on every system, with one system call per datagram.
type plainPort struct {
	conn    *net.UDPConn
	reading sync.WaitGroup
}

func listenPlain(addr string, handle Handle) (Port, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, err
	}
	conn, err := net.ListenUDP("udp", udp)
	if err != nil {
		return nil, err
	}
	p := &plainPort{conn: conn}
	p.reading.Go(func() {
		for buf := make([]byte, maxDatagram); ; {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil { // other errors report on datagrams that were sent
				handle(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), netip.Addr{})
			}
		}
	})
	return p, nil
}

func (p *plainPort) Address() netip.AddrPort { return addrPort(p.conn.LocalAddr()) }

func (p *plainPort) Sender(to netip.AddrPort, _ netip.Addr) func(b []byte, size int) (lost int) {
	return func(b []byte, size int) (lost int) {
		for len(b) > 0 {
			datagram := b[:min(size, len(b))]
			b = b[len(datagram):]
			if _, err := p.conn.WriteToUDPAddrPort(datagram, to); err != nil {
				lost++
			}
		}
		return lost
	}
}

func (p *plainPort) Close() error {
	err := p.conn.Close()
	p.reading.Wait()
	return err
}
