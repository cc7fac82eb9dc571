//go:build !linux

package bench

import (
	"net"
	"net/netip"
	"sync"
)

// goPump reads each socket with a goroutine. It costs more than the pump for Linux, and drops nothing in the kernel.
type goPump struct{ running sync.WaitGroup }

func newPump() (pump, error) { return &goPump{}, nil }

func (p *goPump) coalesce(int) {}

func (p *goPump) close() { p.running.Wait() }

func (p *goPump) open(v *viewer, ip6 bool) (socket, error) {
	network := "udp4"
	if ip6 {
		network = "udp"
	}
	conn, err := net.ListenUDP(network, nil)
	if err != nil {
		return nil, err
	}
	s := &goSocket{conn: conn}
	p.running.Go(func() {
		buf := make([]byte, maxDatagram)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
			v.mu.Lock()
			if !s.peer.IsValid() || s.peer == from {
				v.arrive(buf[:n], from)
			}
			v.mu.Unlock()
		}
	})
	return s, nil
}

type goSocket struct {
	conn *net.UDPConn
	peer netip.AddrPort
}

func (s *goSocket) localPort() uint16 { return s.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port() }

func (s *goSocket) sendTo(b []byte, to netip.AddrPort) { _, _ = s.conn.WriteToUDPAddrPort(b, to) }

func (s *goSocket) send(b []byte) { s.sendTo(b, s.peer) }

func (s *goSocket) connect(to netip.AddrPort) error {
	s.peer = to
	return nil
}

func (s *goSocket) sample(bool)     {}
func (s *goSocket) dropped() uint64 { return 0 }
func (s *goSocket) close()          { _ = s.conn.Close() }
