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
	// Sender is a way to one address, from that of ours which it has spoken to. It sends runs of datagrams, all of size bytes
	// but the last, and returns how many were lost. It must not wait.
	Sender(to netip.AddrPort, local netip.Addr) func(b []byte, size int) (lost int)
	// Close waits until nothing more is read.
	Close() error
}

// Handle takes what comes to a port: bytes that are only lent, where they come from, and which of our addresses they were
// sent to, if that is known. It is called from one goroutine.
type Handle func(b []byte, from netip.AddrPort, local netip.Addr)

// udpSocket is a port that clients share, and the net.PacketConn that pion's server reads. The port's reader hands requests to
// pion's goroutine and waits until they are answered, so that there is one request at a time.
type udpSocket struct {
	front *front
	port  Port
	ready chan struct{} // closed when port is set

	requests chan []byte
	answers  chan struct{}
	done     chan struct{}
	once     sync.Once

	busy bool // pion's goroutine has a request in hand; its own
}

func (s *Server) listenUDP(addr string) error {
	u := &udpSocket{ready: make(chan struct{}), requests: make(chan []byte), answers: make(chan struct{}), done: make(chan struct{})}
	u.front = newFront(s, u)
	port, err := s.cfg.ListenUDP(addr, u.handle)
	if err != nil {
		return err
	}
	u.port = port
	close(u.ready)
	s.running.Add(1) // until ReadFrom has failed
	if _, err := u.front.serve(u); err != nil {
		s.running.Done()
		return errors.Join(err, u.Close())
	}
	s.udp = u
	return nil
}

// handle is the reader's.
func (u *udpSocket) handle(b []byte, from netip.AddrPort, local netip.Addr) {
	select {
	case <-u.done:
		return
	case <-u.ready:
	}
	if len(b) >= maxDatagram || !u.front.take(b, from, local) {
		return
	}
	select {
	case u.requests <- b:
	case <-u.done:
		return
	}
	select {
	case <-u.answers:
	case <-u.done:
	}
}

// ReadFrom gives pion the next request.
func (u *udpSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	if u.busy {
		u.busy = false
		select {
		case u.answers <- struct{}{}:
		case <-u.done:
		}
	}
	select {
	case request := <-u.requests:
		u.busy = true
		return copy(b, request), net.UDPAddrFromAddrPort(u.front.request.client), nil
	case <-u.done:
		u.front.server.running.Done()
		return 0, nil, net.ErrClosed
	}
}

// WriteTo takes pion's answers.
func (u *udpSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	u.front.answered(b)
	return len(b), nil
}

func (u *udpSocket) way(to netip.AddrPort, local netip.Addr) way {
	return &udpWay{send: u.port.Sender(to, local)}
}

// udpWay is the way to one client.
type udpWay struct {
	send func(b []byte, size int) (lost int)
}

const runBuffer = 64 << 10 // bytes of a run that is put together at once

var runs = sync.Pool{New: func() any { b := make([]byte, 0, runBuffer); return &b }}

func (w *udpWay) data(b []byte, size int, channel uint16, prefix []byte) (lost int) {
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

func (w *udpWay) answer(b []byte) {
	if len(b) > 0 {
		w.send(b, len(b))
	}
}

func (w *udpWay) ended(bool) {}

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

// plainPort is a Port that works on every system: one system call a datagram.
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
			if err == nil { // an error of the network is of no interest
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
