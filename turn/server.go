package turn

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pion/stun"
)

// Server is a relay. Its methods may be called from any goroutine.
type Server struct {
	cfg       Config
	strangers *limiter
	stats     counters
	queued    atomic.Int64 // bytes that wait for TCP and TLS clients

	udp       *udpSocket     // nil: none
	listeners []net.Listener // TCP, then TLS
	running   sync.WaitGroup // readers, writers, allocations; waited for by Close
	closing   chan struct{}

	mu            sync.RWMutex
	closed        bool
	allocations   map[netip.Addr]*allocation // by virtual address
	perCredential map[string]int
	perSource     tally

	streams          map[*stream]struct{}
	streamsPerSource tally
}

// Open starts a relay. On error nothing stays open. Errors include *ListenError.
func Open(cfg Config) (_ *Server, err error) {
	if cfg, err = cfg.checked(); err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, strangers: newLimiter(cfg.Limits.Requests, cfg.Limits.RequestBurst), closing: make(chan struct{}),
		allocations: make(map[netip.Addr]*allocation), perCredential: make(map[string]int), perSource: make(tally),
		streams: make(map[*stream]struct{}), streamsPerSource: make(tally),
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
		s.running.Go(func() { s.accept(listener, l.take) })
	}
	s.running.Go(s.sweep)
	return s, nil
}

// ListenError says that an address cannot be opened, and what to do about it.
type ListenError struct {
	Transport, Address string // UDP, TCP or TLS; as configured
	Err                error
}

func (e *ListenError) Error() string {
	switch {
	case errors.Is(e.Err, syscall.EADDRINUSE):
		return fmt.Sprintf("TURN over %s: %s is in use: stop the other program, or choose another address: %v", e.Transport, e.Address, e.Err)
	case errors.Is(e.Err, syscall.EACCES):
		return fmt.Sprintf("TURN over %s: this user may not open %s: choose a port above 1023: %v", e.Transport, e.Address, e.Err)
	}
	return fmt.Sprintf("TURN over %s on %s: %v", e.Transport, e.Address, e.Err)
}

func (e *ListenError) Unwrap() error { return e.Err }

// Addresses are where the relay listens; not valid where it does not.
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

// Close ends the relay and waits until nothing of it is left.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.closing)
	var streams []*stream
	for c := range s.streams {
		streams = append(streams, c)
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
	for _, c := range streams {
		c.finish() // what is still to be written is written first
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// Send takes a run of datagrams, all of size bytes but the last, which may be shorter, to the client at a virtual
// address. b is only lent. It never waits: what cannot be taken at once is lost, as on the network.
func (s *Server) Send(b []byte, size int, to netip.AddrPort) {
	if a := s.at(to.Addr()); a != nil && len(b) > 0 && size > 0 {
		a.send(b, size, to.Port())
	} else {
		s.stats.dropUnknown.Add(1)
	}
}

// Release ends the allocation of a virtual address, because the session that it has served has ended.
func (s *Server) Release(address netip.AddrPort) {
	if a := s.at(address.Addr()); a != nil {
		s.stats.closedReleased.Add(1)
		a.close()
	}
}

// Relayed gives the relayed address that the client at a virtual address was told; not valid when there is none.
func (s *Server) Relayed(address netip.AddrPort) netip.AddrPort {
	if a := s.at(address.Addr()); a != nil {
		return a.relayed
	}
	return netip.AddrPort{}
}

func (s *Server) now() int64 { return s.cfg.now().UnixNano() }

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

// allocate makes the allocation of a request that has been authenticated, or says what is in the way.
func (s *Server) allocate(f *front, r *request) (*allocation, stun.ErrorCode) {
	if transport, err := r.message.Get(stun.AttrRequestedTransport); err != nil || len(transport) == 0 || transport[0] != protocolUDP {
		return nil, stun.CodeUnsupportedTransProto // RFC 6062 is not spoken
	}
	if r.message.Contains(stun.AttrEvenPort) || r.message.Contains(stun.AttrReservationToken) {
		return nil, stun.CodeInsufficientCapacity // there are no ports to reserve
	}
	relayed, code := s.relayedAddress(r.message)
	if code != 0 {
		return nil, code
	}
	a := &allocation{
		server: s, front: f, client: r.client, way: f.ways.way(r.client, r.local), user: r.user, id: r.id,
		virtual: randomAddr(s.cfg.Virtual), relayed: relayed,
		permissions: make(map[netip.Addr]*permission), done: make(chan struct{}),
	}
	a.used.Store(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.cfg.Limits
	switch {
	case s.closed || s.allocations[a.virtual] != nil || len(s.allocations) >= l.Allocations:
		s.stats.refusedCapacity.Add(1)
		return nil, stun.CodeInsufficientCapacity
	case s.perCredential[a.id] >= l.PerCredential || s.perSource.full(a.client.Addr(), l.PerSource, l.PerNetwork):
		s.stats.refusedQuota.Add(1)
		return nil, stun.CodeAllocQuotaReached
	}
	s.allocations[a.virtual] = a
	s.perCredential[a.id]++
	s.perSource.add(a.client.Addr())
	s.running.Add(1) // until pion's goroutine has gone
	s.stats.allocations.Add(1)
	return a, 0
}

const (
	protocolUDP            = 17 // in REQUESTED-TRANSPORT
	familyIPv4, familyIPv6 = 1, 2
	firstPort, lastPort    = 49152, 65535
)

// relayedAddress is what a client is told to be its relayed address. Browsers pair it only with our candidates of the same
// family, so it is of the family that was asked for, else of the one that our media is best reached at. Nothing is ever sent
// to it; so it does no harm if two clients get the same port.
func (s *Server) relayedAddress(m *stun.Message) (netip.AddrPort, stun.ErrorCode) {
	media := s.cfg.Media()
	wanted := 0
	if v, err := m.Get(stun.AttrRequestedAddressFamily); err == nil && len(v) > 0 {
		wanted = int(v[0])
	}
	i := slices.IndexFunc(media, func(a netip.AddrPort) bool {
		switch wanted {
		case 0:
			return a.Addr().Is4() && !a.Addr().IsLoopback()
		case familyIPv4:
			return a.Addr().Is4()
		case familyIPv6:
			return a.Addr().Is6()
		}
		return false
	})
	if i < 0 {
		if wanted != 0 {
			return netip.AddrPort{}, stun.CodeAddrFamilyNotSupported
		}
		if i = 0; len(media) == 0 {
			return netip.AddrPort{}, stun.CodeInsufficientCapacity
		}
	}
	return netip.AddrPortFrom(media[i].Addr(), uint16(firstPort+rand.IntN(lastPort-firstPort+1))), 0
}

// forget takes an ended allocation out of all counts.
func (s *Server) forget(a *allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.allocations, a.virtual)
	if s.perCredential[a.id]--; s.perCredential[a.id] <= 0 {
		delete(s.perCredential, a.id)
	}
	s.perSource.remove(a.client.Addr())
}

// sweep closes what is of no use any more.
func (s *Server) sweep() {
	tick := time.NewTicker(min(time.Second, s.cfg.Limits.Unused/4, s.cfg.Limits.FirstAllocation/4))
	defer tick.Stop()
	var c complaint
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			now := s.cfg.now()
			c.look(s, now)
			for _, a := range s.live() {
				switch {
				case now.UnixNano()-a.used.Load() > int64(s.cfg.Limits.Unused):
					s.stats.closedUnused.Add(1)
				case !s.cfg.Live(a.id):
					s.stats.closedRevoked.Add(1)
				default:
					continue
				}
				a.close()
			}
			s.sweepStreams(now.UnixNano())
		}
	}
}

// complaint tells the operator, once a minute at most, that the limits keep clients out.
type complaint struct {
	at   time.Time
	seen RefusedStats
}

func (c *complaint) look(s *Server, now time.Time) {
	r := s.Stats().Refused
	r.Permission = 0 // of no interest: strangers try
	if r == c.seen || now.Sub(c.at) < time.Minute {
		return
	}
	s.cfg.Logger.Warn("the relay's limits keep clients out", "full", r.Capacity-c.seen.Capacity, "quota", r.Quota-c.seen.Quota, "connections", r.Connection-c.seen.Connection)
	c.at, c.seen = now, r
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
