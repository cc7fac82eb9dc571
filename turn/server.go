package turn

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"siaran/internal/accept"
	"siaran/internal/fault"
	"siaran/internal/monotonic"
	"siaran/internal/netaddr"
)

// Server is a relay. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	newcomers *limiter
	stats     counters
	faults    *fault.Log
	queued    atomic.Int64 // bytes that wait to be sent to TCP and TLS clients

	udp       *udpSocket     // nil: none
	listeners []net.Listener // TCP, then TLS
	running   sync.WaitGroup // readers, writers, allocations; waited for by Close
	closing   chan struct{}

	mu            sync.RWMutex
	closed        bool
	allocations   map[netip.Addr]*allocation // by virtual address
	perCredential map[string]int
	perSource     netaddr.Tally

	conns          map[*tcpConn]struct{}
	connsPerSource netaddr.Tally
}

// Open starts a relay. On error nothing stays open. Errors include *[ListenError].
func Open(cfg Config) (_ *Server, err error) {
	if cfg, err = cfg.checked(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, faults: fault.New(cfg.Logger), closing: make(chan struct{}),
		newcomers:   newLimiter(cfg.Limits.Requests, cfg.Limits.RequestBurst),
		allocations: make(map[netip.Addr]*allocation), perCredential: make(map[string]int), perSource: make(netaddr.Tally),
		conns: make(map[*tcpConn]struct{}), connsPerSource: make(netaddr.Tally),
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if cfg.UDP != "" {
		if err := s.listenUDP(cfg.UDP); err != nil {
			return nil, &ListenError{"UDP", cfg.UDP, err}
		}
	}
	for _, l := range []struct {
		name, addr string
		take       func(net.Conn)
	}{{"TCP", cfg.TCP, s.handle}, {"TLS", cfg.TLS, s.handleRawTLS}} {
		if l.addr == "" {
			continue
		}
		listener, err := net.Listen("tcp", l.addr)
		if err != nil {
			return nil, &ListenError{l.name, l.addr, err}
		}
		s.listeners = append(s.listeners, listener)
		s.running.Go(func() {
			accept.Loop(s.closing, listener, "connections to the relay", cfg.Logger, l.take)
		})
	}
	s.running.Go(s.sweep)
	return s, nil
}

// ListenError means that an address cannot be opened. Its text says what to do about it.
type ListenError struct {
	Transport, Address string // UDP, TCP or TLS; as configured
	Err                error
}

func (e *ListenError) Error() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("TURN over %s: %s is in use: stop the other program, or choose another address: %v",
			e.Transport, e.Address, e.Err)
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("TURN over %s: this user may not open %s: choose a port above 1023: %v",
			e.Transport, e.Address, e.Err)
	}
	return fmt.Sprintf("TURN over %s on %s: %v", e.Transport, e.Address, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// Addresses returns where the relay listens. An address is not valid if the relay does not listen on it.
func (s *Server) Addresses() (udp, tcp, tls netip.AddrPort) {
	if s.udp != nil {
		udp = s.udp.port.Address()
	}
	listeners := s.listeners
	for _, a := range []struct {
		configured string
		into       *netip.AddrPort
	}{{s.cfg.TCP, &tcp}, {s.cfg.TLS, &tls}} {
		if a.configured != "" && len(listeners) > 0 {
			*a.into = addrPort(listeners[0].Addr())
			listeners = listeners[1:]
		}
	}
	return udp, tcp, tls
}

// Close ends the relay and waits until its goroutines have ended.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	var conns []*tcpConn
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	var errs []error
	for _, l := range s.listeners {
		errs = append(errs, l.Close())
	}
	for _, a := range s.live() {
		a.close()
	}
	if s.udp != nil {
		errs = append(errs, s.udp.Close())
	}
	for _, c := range conns {
		c.finish() // after it has written what is pending
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// Send sends a run of datagrams to the client at a virtual address. All have size bytes but the last, which may be
// shorter. b is only lent. Send never waits: what cannot be sent at once is lost, as on a network.
func (s *Server) Send(b []byte, size int, to netip.AddrPort) {
	if a := s.at(to.Addr()); a != nil && len(b) > 0 && size > 0 {
		a.send(b, size, to.Port())
	} else {
		s.stats.dropUnknown.Add(1)
	}
}

// Release ends the allocation of a virtual address, because the session that it served has ended.
func (s *Server) Release(address netip.AddrPort) {
	if a := s.at(address.Addr()); a != nil {
		s.stats.closedReleased.Add(1)
		a.close()
	}
}

// Relayed returns the relayed address that the client at a virtual address was given. It is not valid if there is none.
func (s *Server) Relayed(address netip.AddrPort) netip.AddrPort {
	if a := s.at(address.Addr()); a != nil {
		return a.relayed
	}
	return netip.AddrPort{}
}

func (s *Server) now() int64 { return monotonic.Nanos(s.cfg.now()) }

func (s *Server) at(virtual netip.Addr) *allocation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.allocations[virtual]
}

func (s *Server) live() []*allocation {
	s.mu.RLock()
	defer s.mu.RUnlock()
	list := make([]*allocation, 0, len(s.allocations))
	for _, a := range s.allocations {
		list = append(list, a)
	}
	return list
}

func (s *Server) isMedia(a netip.AddrPort) bool { return slices.Contains(s.cfg.Media(), a) }

func (s *Server) isMediaIP(ip netip.Addr) bool {
	return slices.ContainsFunc(s.cfg.Media(), func(a netip.AddrPort) bool { return a.Addr() == ip })
}

func addrPort(a net.Addr) netip.AddrPort {
	var p netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		p = a.AddrPort()
	case *net.UDPAddr:
		p = a.AddrPort()
	}
	return netip.AddrPortFrom(p.Addr().Unmap().WithZone(""), p.Port())
}
