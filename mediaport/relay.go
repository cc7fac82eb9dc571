package mediaport

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// RelayedNet holds the addresses of clients that come through a relay inside this process. It is the block whose
// packets every router discards (RFC 6666), so no datagram of the network comes from there, and none is sent there.
var RelayedNet = netip.MustParsePrefix("100::/64")

// Relayed reports whether an address is that of a client of the relay.
func Relayed(address netip.AddrPort) bool {
	return address.Addr().Is6() && RelayedNet.Contains(address.Addr())
}

// Relay takes datagrams to its clients, each of which has addresses of its own in [RelayedNet].
type Relay interface {
	// Send takes a run of datagrams: all have size bytes but the last, which may be shorter. b is only lent. Send never
	// waits; what cannot be taken at once is lost, as on the network.
	Send(b []byte, size int, to netip.AddrPort)
	// Release says that the session that used an address has ended.
	Release(address netip.AddrPort)
	// Relayed gives the relayed address (RFC 8656) that the client at an address was told; invalid if there is none.
	Relayed(address netip.AddrPort) netip.AddrPort
}

// relays is a socket's side of the relay.
type relays struct {
	relay atomic.Pointer[Relay]

	mu      sync.Mutex
	limiter *sourceLimiter // made when it is first needed
}

// Join lets a relay take what is for its clients, who may have spoken before. The relay is closed before the socket,
// and after the servers on it.
func (s *Socket) Join(r Relay) { s.relays.relay.Store(&r) }

// Receive takes a datagram that a client of the relay has sent to this socket. b is only lent. It may be called from
// any goroutine.
func (s *Socket) Receive(b []byte, from netip.AddrPort) {
	if len(b) == 0 || len(b) > MaxDatagram || !Relayed(from) {
		return
	}
	s.dispatch(&s.relays, b, from, netip.Addr{})
}

// Mapped is a remote address as its owner knows it: a client of the relay knows its relayed address, and nothing of its
// address in [RelayedNet].
func (s *Socket) Mapped(address netip.AddrPort) netip.AddrPort {
	if relay := s.relays.relay.Load(); relay != nil && Relayed(address) {
		if told := (*relay).Relayed(address); told.IsValid() {
			return told
		}
	}
	return address
}

// check implements sourceLimits: the relay's goroutines share one limiter.
func (r *relays) check(from netip.AddrPort, own bool, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shared().check(from, own, now)
}

// datagram implements sourceLimits.
func (r *relays) datagram(from netip.AddrPort, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.shared().datagram(from, now)
}

// shared is the limiter. The caller holds mu.
func (r *relays) shared() *sourceLimiter {
	if r.limiter == nil {
		r.limiter = newSourceLimiter()
	}
	return r.limiter
}

func (r *relays) send(b []byte, size int, to netip.AddrPort) {
	if relay := r.relay.Load(); relay != nil {
		(*relay).Send(b, size, to)
	}
}

// release tells the relay which of its clients' addresses belong to no session any more.
func (r *relays) release(addresses []netip.AddrPort) {
	relay := r.relay.Load()
	if relay == nil {
		return
	}
	for _, a := range addresses {
		if Relayed(a) {
			(*relay).Release(a)
		}
	}
}
