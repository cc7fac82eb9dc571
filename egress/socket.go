package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
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
	ports     []port // at least one, all of the same address
	addresses addresses
	rest      *restConn
	relays    relays
	discovery atomic.Pointer[discovery] // while it runs

	mu        sync.RWMutex
	byUfrag   map[string]*link
	byAddress map[netip.AddrPort]*link

	drops   socketDrops
	reading sync.WaitGroup
}

type socketDrops struct {
	rest, dtls, guarded, send atomic.Uint64
}

// SocketOptions are what a socket can do differently; the zero value is right for most.
type SocketOptions struct {
	Public []netip.Addr // announced in place of what the interfaces have
	// Interfaces tells which interfaces' addresses are announced, by name; nil: all.
	Interfaces func(name string) bool

	DSCP   int  // marks what is sent (RFC 8837); 0 to 63
	Shards int  // descriptors that share the port (SO_REUSEPORT), where the system can; 0: one for four CPUs
	NoGSO  bool // send every datagram by itself
	Plain  bool // use nothing that is special to the system
}

// Listen opens the port; addr is a host:port, and an empty host stands for all addresses of
// the machine, IPv4 and IPv6.
func Listen(addr string, options SocketOptions) (*Socket, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("the media address %q is not a host:port: %w", addr, err)
	}
	if options.Shards <= 0 {
		options.Shards = max(1, runtime.NumCPU()/4)
	}
	var ports []port
	if options.Plain {
		ports, err = listenStd(udp)
	} else {
		ports, err = openPorts(udp, options)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d is in use: stop the other program, or choose another media port: %w", udp.Port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the media port %q: %w", addr, err)
	}
	local := ports[0].local()
	s := &Socket{
		ports:     ports,
		addresses: addresses{local: netip.AddrPortFrom(local.Addr().Unmap(), local.Port()), public: options.Public, use: options.Interfaces},
		byUfrag:   make(map[string]*link),
		byAddress: make(map[netip.AddrPort]*link),
	}
	s.rest = newRestConn(s)
	for _, p := range ports {
		g := newGuard()
		s.reading.Go(func() {
			p.read(func(b []byte, from netip.AddrPort, local netip.Addr) {
				if Relayed(from) { // forged: such addresses are given inside this process
					s.drops.guarded.Add(1)
					return
				}
				s.handle(g, b, from, local)
			})
		})
	}
	return s, nil
}

// Port is the number of the port, as bound.
func (s *Socket) Port() uint16 { return s.addresses.local.Port() }

// Addresses is what to announce as host candidates, best first.
func (s *Socket) Addresses() []netip.AddrPort { return s.addresses.list() }

// BroadcasterConn is the port as broadcasters' ICE sees it: it receives all that is no viewer's.
// Closing it changes nothing; it ends with the socket.
func (s *Socket) BroadcasterConn() net.PacketConn { return s.rest }

// Close closes the port and waits for its reader. Servers that use it are closed before.
func (s *Socket) Close() error {
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.close())
	}
	s.reading.Wait()
	s.rest.end()
	for _, p := range s.ports {
		errs = append(errs, p.free())
	}
	return errors.Join(errs...)
}

// handle is one datagram's way. b is only lent; g is its reader's.
func (s *Socket) handle(g admission, b []byte, from netip.AddrPort, local netip.Addr) {
	if b[0] <= 3 {
		s.handleSTUN(g, b, from, local)
		return
	}
	s.mu.RLock()
	l := s.byAddress[from]
	s.mu.RUnlock()
	switch {
	case l == nil:
		if !g.datagram(from, time.Now()) {
			s.drops.guarded.Add(1)
			return
		}
		s.rest.push(b, from)
	case b[0] >= 20 && b[0] <= 63:
		l.handleDTLS(b)
	case b[0] >= 128 && b[0] <= 191:
		l.handleRTCP(b)
	}
}

func (s *Socket) handleSTUN(g admission, b []byte, from netip.AddrPort, local netip.Addr) {
	if d := s.discovery.Load(); d != nil && d.take(b, from) {
		return
	}
	if !g.check(from, time.Now()) {
		s.drops.guarded.Add(1)
		return
	}
	if l := s.linkOfCheck(b); l != nil {
		l.handleCheck(b, from, local)
		return
	}
	s.mu.RLock()
	viewer := s.byAddress[from] != nil
	s.mu.RUnlock()
	if !viewer { // a viewer's keepalives (RFC 8445 section 11) are for nobody
		s.rest.reached(from, local)
		s.rest.push(b, from)
	}
}

// send writes one datagram. A full send buffer drops it, as the network would.
func (s *Socket) send(b []byte, to *path) {
	if to.relayed {
		s.relays.send(b, len(b), to.address)
		return
	}
	if s.ports[0].send(b, to) != nil {
		s.drops.send.Add(1)
	}
}

// path is the way to an address from one of ours, which may be invalid.
func (s *Socket) path(address netip.AddrPort, local netip.Addr) *path {
	to := newPath(address, local, s.ports[0])
	to.local = local
	to.relayed = Relayed(address)
	return to
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
	delete(s.byUfrag, l.ufrag)
	addresses = slices.DeleteFunc(addresses, func(a netip.AddrPort) bool { return s.byAddress[a] != l })
	for _, a := range addresses {
		delete(s.byAddress, a)
	}
	s.mu.Unlock()
	s.relays.release(addresses)
}
