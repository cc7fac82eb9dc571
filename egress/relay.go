package egress

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// RelayedNet is where the addresses of clients are that come through a relay inside this process. It
// is the block whose packets every router discards (RFC 6666), so no datagram of the network comes from
// there, and none is sent there.
var RelayedNet = netip.MustParsePrefix("100::/64")

// Relayed tells whether an address is one of a relay's clients.
func Relayed(address netip.AddrPort) bool {
	return address.Addr().Is6() && RelayedNet.Contains(address.Addr())
}

// Relay takes datagrams to its clients, each of which has addresses of its own in [RelayedNet].
type Relay interface {
	// Send takes a run of datagrams: all have size bytes but the last, which may be shorter. b is only
	// lent. It never waits; what cannot be taken at once is lost, as on the network.
	Send(b []byte, size int, to netip.AddrPort)
	// Release says that the session that used an address has ended.
	Release(address netip.AddrPort)
	// Relayed gives the relayed address (RFC 8656) that the client at an address was told; not valid when there is none.
	Relayed(address netip.AddrPort) netip.AddrPort
}

// relays is what a socket has to do with its relay.
type relays struct {
	relay atomic.Pointer[Relay]

	mu    sync.Mutex
	guard *guard // made when it is first asked
}

// Join lets a relay take what is for its clients, who may speak already. The relay is closed before the socket, and after
// the servers on it.
func (s *Socket) Join(r Relay) { s.relays.relay.Store(&r) }

// Receive takes a datagram that a relay's client has sent to this socket. b is only lent.
// It may be called from any goroutine.
func (s *Socket) Receive(b []byte, from netip.AddrPort) {
	if len(b) == 0 || len(b) > maxDatagram || !Relayed(from) {
		return
	}
	s.handle(&s.relays, b, from, netip.Addr{})
}

// mapped is where a datagram comes from in its sender's eyes: a relay's client knows nothing of its address in [RelayedNet].
func (r *relays) mapped(from netip.AddrPort) netip.AddrPort {
	if relay := r.relay.Load(); relay != nil && Relayed(from) {
		if told := (*relay).Relayed(from); told.IsValid() {
			return told
		}
	}
	return from
}

func (r *relays) check(from netip.AddrPort, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.guarded().check(from, now)
}

func (r *relays) datagram(from netip.AddrPort, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.guarded().datagram(from, now)
}

// guarded is the guard. The caller holds mu.
func (r *relays) guarded() *guard {
	if r.guard == nil {
		r.guard = newGuard()
	}
	return r.guard
}

func (r *relays) send(b []byte, size int, to netip.AddrPort) {
	if relay := r.relay.Load(); relay != nil {
		(*relay).Send(b, size, to)
	}
}

// release tells the relay which of a session's addresses nobody uses any more.
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
