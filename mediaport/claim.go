package mediaport

import (
	"net/netip"
	"sync/atomic"
	"time"

	"siaran/internal/monotonic"
)

// AddressHold is how long an address stays with a session after that was last heard from there.
const AddressHold = 5 * time.Second

// Claim is what one endpoint has to do with one remote address. An address belongs to at most one endpoint of each
// kind:
//
//   - one that asks its addresses to prove themselves ([Claim.Bind]), as a viewer's session does, and
//   - one that is content with a check that has the right password ([Claim.Vouch]), as a broadcaster's session is.
//
// An address does not change hands while it is in use: while its endpoint has been heard from within the last five
// seconds, and, for an endpoint that asks for proof, while the proof has been given. An address that has proven itself
// to a viewer's session is that session's; only a ClientHello may overtake the proof.
type Claim struct {
	endpoint *Endpoint
	address  netip.AddrPort

	proven atomic.Int64 // when the address last answered, by monotonic.Nanos; 0: never
	heard  atomic.Int64 // when the endpoint was last heard from there, by monotonic.Nanos

	dropped bool // guarded by the socket's mu
}

// place is what the socket knows of a remote address.
type place struct {
	bound   *Claim // of an endpoint that asks for proof
	vouched *Claim // of one that does not
}

// Claim makes a claim on an address. It has no effect before Bind or Vouch. The address is without an
// IPv4-mapped IPv6 form.
func (e *Endpoint) Claim(address netip.AddrPort) *Claim { return &Claim{endpoint: e, address: address} }

// Address is the remote address.
func (c *Claim) Address() netip.AddrPort { return c.address }

// Prove notes that the address has answered a question that only it can have seen.
func (c *Claim) Prove(now time.Time) { c.proven.Store(monotonic.Nanos(now)) }

// Proven reports whether the address has ever proven itself.
func (c *Claim) Proven() bool { return c.proven.Load() != 0 }

// ProvenWithin reports whether the address has proven itself less than d ago.
func (c *Claim) ProvenWithin(d time.Duration, now time.Time) bool {
	return monotonic.Nanos(now)-c.proven.Load() < int64(d)
}

// Hear notes that the session was heard from at this address. For vouched claims the socket does so with each datagram.
func (c *Claim) Hear(now time.Time) { c.heard.Store(monotonic.Nanos(now)) }

// HeardWithin reports whether the session was heard from at this address at most d ago.
func (c *Claim) HeardWithin(d time.Duration, now time.Time) bool {
	return monotonic.Nanos(now)-c.heard.Load() <= int64(d)
}

// HeardBefore reports whether c was heard from longer ago than other.
func (c *Claim) HeardBefore(other *Claim) bool { return c.heard.Load() < other.heard.Load() }

// Bind makes the address the endpoint's, unless it is in use: by a vouched claim, or by another endpoint's claim that
// has proven itself and was heard from. A claim that has not proven itself only gets an address that no other has
// proven to be at, and of what comes from there only DTLS.
func (c *Claim) Bind(now time.Time) {
	s := c.endpoint.socket
	s.mu.RLock()
	bound := s.byAddress[c.address].bound
	s.mu.RUnlock()
	if bound == c {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over() {
		return
	}
	at := s.byAddress[c.address]
	if at.bound != nil && at.bound.Proven() && !c.Proven() {
		return
	}
	if at.bound == nil || at.bound.endpoint != c.endpoint {
		if at.vouched != nil && at.vouched.HeardWithin(AddressHold, now) || at.boundInUse(now) {
			return
		}
	}
	at.bound = c
	s.byAddress[c.address] = at
}

// Vouch makes the address the endpoint's after a check with the right password, unless another endpoint's vouched claim
// is in use. A bound claim gives way if it is not in use; one that is in use goes on getting what comes from there.
func (c *Claim) Vouch(now time.Time) {
	s := c.endpoint.socket
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.over() {
		return
	}
	at := s.byAddress[c.address]
	if !at.boundInUse(now) {
		at.bound = nil
	}
	if at.vouched == nil || at.vouched == c || !at.vouched.HeardWithin(AddressHold, now) {
		at.vouched = c
		c.Hear(now)
	}
	s.set(c.address, at)
}

// Vouched reports whether the address is the endpoint's by Vouch.
func (c *Claim) Vouched() bool {
	s := c.endpoint.socket
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byAddress[c.address].vouched == c
}

// Drop gives the claim up for good: a Bind or Vouch that another goroutine was about to call has no effect.
// Another claim of the same endpoint on the same address takes effect again with its next Bind.
func (c *Claim) Drop() {
	c.endpoint.socket.mu.Lock()
	defer c.endpoint.socket.mu.Unlock()
	c.remove()
}

// over reports whether the claim was dropped or its endpoint closed, maybe while a datagram was being handled that
// is about to claim the address. The caller holds the socket's mu.
func (c *Claim) over() bool { return c.dropped || !c.endpoint.open }

// remove takes the claim out and reports whether the address was its endpoint's. The caller holds the socket's mu.
func (c *Claim) remove() (held bool) {
	s := c.endpoint.socket
	c.dropped = true
	at := s.byAddress[c.address]
	if at.bound == c {
		at.bound, held = nil, true
	}
	if at.vouched == c {
		at.vouched, held = nil, true
	}
	s.set(c.address, at)
	return held
}

// set keeps what is known of an address, or nothing when nobody claims it. The caller holds mu.
func (s *Socket) set(address netip.AddrPort, at place) {
	if at.bound == nil && at.vouched == nil {
		delete(s.byAddress, address)
		return
	}
	s.byAddress[address] = at
}

// boundInUse reports whether a claim has proven itself and was heard from of late.
func (p place) boundInUse(now time.Time) bool {
	return p.bound != nil && p.bound.Proven() && p.bound.HeardWithin(AddressHold, now)
}
