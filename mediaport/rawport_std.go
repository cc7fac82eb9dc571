package mediaport

import (
	"errors"
	"net"
	"net/netip"
)

// stdPort is a port on Go's own UDP connection: one system call for each datagram.
type stdPort struct{ conn *net.UDPConn }

func openStd(addr *net.UDPAddr) ([]rawPort, error) {
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return nil, err
	}
	_ = conn.SetReadBuffer(socketBuffer) // as much as the system allows
	_ = conn.SetWriteBuffer(socketBuffer)
	return []rawPort{&stdPort{conn}}, nil
}

func (p *stdPort) read(handle func([]byte, netip.AddrPort, netip.Addr)) {
	buf := make([]byte, MaxDatagram)
	for {
		n, from, err := p.conn.ReadFromUDPAddrPort(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err == nil && n > 0 {
			handle(buf[:n], unmapped(from), netip.Addr{})
		}
	}
}

func (p *stdPort) send(b []byte, to *Path) error {
	_, err := p.conn.WriteToUDPAddrPort(b, to.address)
	return err
}

func (p *stdPort) sendBatch(b *Batch) (lost int) {
	for i := range b.messages {
		m := &b.messages[i]
		b.each(m, func(datagram []byte) {
			if p.send(datagram, m.to) != nil {
				lost++
			}
		})
	}
	return lost
}

func (p *stdPort) segments() int { return 1 }

func (p *stdPort) refusals() uint64 { return 0 }

func (p *stdPort) stuck() uint64 { return 0 }

func (p *stdPort) local() netip.AddrPort { return p.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (p *stdPort) close() error { return p.conn.Close() }

func (p *stdPort) free() error { return nil }
