package turn

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const socketBuffer = 4 << 20 // bytes asked of the kernel, each way

// udpSocket is a socket that clients share, as pion's server reads it.
type udpSocket struct {
	front *front
	conn  *net.UDPConn
}

func (s *Server) listenUDP(addr string) error {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", udp)
	if err != nil {
		return err
	}
	_ = conn.SetReadBuffer(socketBuffer) // as much as the system allows
	_ = conn.SetWriteBuffer(socketBuffer)
	u := &udpSocket{conn: conn}
	u.front = &front{server: s, out: u, local: addrPort(conn.LocalAddr()), allocations: make(map[netip.AddrPort]*allocation)}
	s.running.Add(1) // until ReadFrom has failed
	if _, err := u.front.serve(u); err != nil {
		s.running.Done()
		return errors.Join(err, conn.Close())
	}
	s.udp = append(s.udp, u)
	return nil
}

// ReadFrom gives pion the next request.
func (u *udpSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := u.conn.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			u.front.server.running.Done()
			return 0, nil, err
		}
		if err != nil || n == len(b) { // an error of the network is of no interest; what is too long is nothing we know
			continue
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if u.front.take(b[:n], from) {
			return n, net.UDPAddrFromAddrPort(from), nil
		}
	}
}

// WriteTo takes pion's answers.
func (u *udpSocket) WriteTo(b []byte, _ net.Addr) (int, error) {
	u.front.answered(b)
	return len(b), nil
}

func (u *udpSocket) answer(to netip.AddrPort, b []byte) {
	_, _ = u.conn.WriteToUDPAddrPort(b, to) // lost, as on the network
}

var frames = sync.Pool{New: func() any { return new([maxDatagram + 64]byte) }}

func (u *udpSocket) send(to netip.AddrPort, b []byte, size int, channel uint16, prefix []byte) (lost int) {
	buf := frames.Get().(*[maxDatagram + 64]byte)
	defer frames.Put(buf)
	for len(b) > 0 {
		data := b[:min(size, len(b))]
		b = b[len(data):]
		var frame []byte
		if channel != 0 {
			frame = appendChannelData(buf[:0], channel, data, false)
		} else {
			frame = appendIndication(buf[:0], prefix, data)
		}
		if _, err := u.conn.WriteToUDPAddrPort(frame, to); err != nil {
			lost++
		}
	}
	return lost
}

func (u *udpSocket) ended(bool) {}

// Close implements net.PacketConn.
func (u *udpSocket) Close() error { return u.conn.Close() }

// LocalAddr implements net.PacketConn.
func (u *udpSocket) LocalAddr() net.Addr { return u.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (u *udpSocket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (u *udpSocket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (u *udpSocket) SetWriteDeadline(time.Time) error { return nil }
