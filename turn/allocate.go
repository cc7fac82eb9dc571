package turn

import (
	"crypto/rand"
	mathrand "math/rand/v2"
	"net/netip"
	"slices"

	"github.com/pion/stun"
)

// allocate makes the allocation for an authenticated request, or returns why it cannot.
func (s *Server) allocate(i *interposer, r *request) (*allocation, stun.ErrorCode) {
	transport, err := r.message.Get(stun.AttrRequestedTransport)
	if err != nil || len(transport) == 0 || transport[0] != protocolUDP {
		return nil, stun.CodeUnsupportedTransProto // TCP allocations (RFC 6062) are not supported
	}
	if r.message.Contains(stun.AttrEvenPort) || r.message.Contains(stun.AttrReservationToken) {
		return nil, stun.CodeInsufficientCapacity // there are no ports to reserve
	}
	relayed, code := s.relayedAddress(r.message)
	if code != 0 {
		return nil, code
	}
	a := &allocation{
		server: s, interposer: i, client: r.client, path: i.transport.replyPath(r.client, r.local), user: r.user, id: r.id,
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
	case s.perCredential[a.id] >= l.PerCredential || s.perSource.Full(a.client.Addr(), l.PerSource, l.PerNetwork):
		s.stats.refusedQuota.Add(1)
		return nil, stun.CodeAllocQuotaReached
	}
	s.allocations[a.virtual] = a
	s.perCredential[a.id]++
	s.perSource.Add(a.client.Addr())
	s.running.Add(1) // until pion's goroutine has ended
	s.stats.allocations.Add(1)
	return a, 0
}

const (
	protocolUDP            = 17 // in REQUESTED-TRANSPORT
	familyIPv4, familyIPv6 = 1, 2
	firstPort, lastPort    = 49152, 65535
)

// relayedAddress is what a client is told is its relayed address. Browsers pair it only with our candidates of the
// same family, so it has the family that was asked for, or else that of our best media address. Nothing is ever sent
// to it, so two clients may get the same port.
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
	return netip.AddrPortFrom(media[i].Addr(), uint16(firstPort+mathrand.IntN(lastPort-firstPort+1))), 0
}

// forget removes an ended allocation from all counts.
func (s *Server) forget(a *allocation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.allocations, a.virtual)
	if s.perCredential[a.id]--; s.perCredential[a.id] <= 0 {
		delete(s.perCredential, a.id)
	}
	s.perSource.Remove(a.client.Addr())
}

func randomAddr(prefix netip.Prefix) netip.Addr {
	b := prefix.Addr().As16()
	rand.Read(b[8:])
	return netip.AddrFrom16(b)
}
