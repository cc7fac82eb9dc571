package egress

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
)

const (
	maxDatagram  = 2048    // bytes; larger ones are cut and then fail their check
	socketBuffer = 4 << 20 // bytes asked of the kernel, each way
	restQueue    = 4096    // datagrams of broadcasters that wait for pion's ICE
)

// Socket is the one UDP port for the media of broadcasters and viewers. What belongs to a
// viewer is told by the user name of its STUN checks and then by its address (RFC 7983);
// all else is for [Socket.BroadcasterConn].
type Socket struct {
	conn      *net.UDPConn
	addresses addresses
	rest      *restConn
	logger    *slog.Logger

	mu        sync.RWMutex
	byUfrag   map[string]*link
	byAddress map[netip.AddrPort]*link

	drops   socketDrops
	done    chan struct{}
	reading sync.WaitGroup
}

type socketDrops struct {
	rest, dtls, rtcp, send atomic.Uint64
}

// Listen opens the port; addr is a host:port, and an empty host stands for all addresses of
// the machine. public, when not empty, is announced in place of what the interfaces have.
func Listen(addr string, public []netip.Addr, logger *slog.Logger) (*Socket, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("the media address %q is not a host:port: %w", addr, err)
	}
	conn, err := net.ListenUDP("udp", udp)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d is in use: stop the other program, or choose another media port: %w", udp.Port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the media port %q: %w", addr, err)
	}
	_ = conn.SetReadBuffer(socketBuffer) // as much as the kernel allows
	_ = conn.SetWriteBuffer(socketBuffer)
	local := conn.LocalAddr().(*net.UDPAddr).AddrPort()
	s := &Socket{
		conn:      conn,
		addresses: addresses{local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), public: public},
		logger:    logger,
		byUfrag:   make(map[string]*link),
		byAddress: make(map[netip.AddrPort]*link),
		done:      make(chan struct{}),
	}
	s.rest = newRestConn(s)
	s.reading.Go(s.read)
	return s, nil
}

// Addresses is what to announce as host candidates, best first.
func (s *Socket) Addresses() []netip.AddrPort { return s.addresses.list() }

// BroadcasterConn is the port as broadcasters' ICE sees it: it receives all that is no viewer's.
// Closing it changes nothing; it ends with the socket.
func (s *Socket) BroadcasterConn() net.PacketConn { return s.rest }

// Close closes the port and waits for its reader. Servers that use it are closed before.
func (s *Socket) Close() error {
	close(s.done)
	err := s.conn.Close()
	s.reading.Wait()
	s.rest.end()
	return err
}

// read hands out what comes until the socket is closed.
func (s *Socket) read() {
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			select {
			case <-s.done:
				return
			default: // such as ECONNREFUSED, when a viewer's port has gone
				continue
			}
		}
		if n > 0 {
			s.handle(buf[:n], netip.AddrPortFrom(from.Addr().Unmap(), from.Port()))
		}
	}
}

// handle is one datagram's way. b is only lent.
func (s *Socket) handle(b []byte, from netip.AddrPort) {
	if b[0] <= 3 {
		if l := s.linkOfCheck(b); l != nil {
			l.handleCheck(b, from)
			return
		}
		if !s.known(from) {
			s.rest.push(b, from)
		}
		return
	}
	s.mu.RLock()
	l := s.byAddress[from]
	s.mu.RUnlock()
	switch {
	case l == nil:
		s.rest.push(b, from)
	case b[0] >= 20 && b[0] <= 63:
		l.handleDTLS(b)
	case b[0] >= 128 && b[0] <= 191:
		l.handleRTCP(b)
	}
}

func (s *Socket) known(from netip.AddrPort) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byAddress[from] != nil
}

// send writes one datagram. A full send buffer drops it, as the network would.
func (s *Socket) send(b []byte, to netip.AddrPort) {
	if _, err := s.conn.WriteToUDPAddrPort(b, to); err != nil {
		s.drops.send.Add(1)
	}
}

func (s *Socket) register(l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.byUfrag[l.ufrag] = l
}

// bind makes what comes from an address l's. An address changes hands when another link's check has come from it.
func (s *Socket) bind(from netip.AddrPort, l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUfrag[l.ufrag] == l {
		s.byAddress[from] = l
	}
}

func (s *Socket) unbind(from netip.AddrPort, l *link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byAddress[from] == l {
		delete(s.byAddress, from)
	}
}

func (s *Socket) unregister(l *link, addresses []netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byUfrag, l.ufrag)
	for _, a := range addresses {
		if s.byAddress[a] == l {
			delete(s.byAddress, a)
		}
	}
}
