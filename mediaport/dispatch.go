package mediaport

import (
	"net/netip"
	"strings"
	"time"

	"github.com/pion/stun/v3"
)

// Ranges of the first byte of a datagram (RFC 7983).
const (
	lastSTUN = 3
	lastDTLS = 63
)

// dispatch gives a datagram to the handler that it is for. b is only lent, and not empty.
func (s *Socket) dispatch(limits sourceLimits, b []byte, from netip.AddrPort, local netip.Addr) {
	var called Handler
	defer s.faults.Recover("the media port", func() {
		if called != nil {
			called.Panicked()
		}
	})
	if b[0] <= lastSTUN {
		s.dispatchSTUN(limits, b, from, local)
		return
	}
	s.mu.RLock()
	at := s.byAddress[from]
	s.mu.RUnlock()
	claim := at.bound
	if claim == nil || !claim.Proven() && b[0] > lastDTLS { // a handshake is all that may overtake the proof
		now := time.Now()
		if !limits.datagram(from, now) {
			s.limited.Add(1)
			return
		}
		if claim = at.vouched; claim == nil {
			return
		}
		claim.Hear(now)
	}
	called = claim.endpoint.handler
	called.HandlePacket(b, from, local)
}

// dispatchSTUN gives a STUN message to the endpoint that it is for. Requests go by the user name in them, whatever else
// their address is used for.
func (s *Socket) dispatchSTUN(limits sourceLimits, b []byte, from netip.AddrPort, local netip.Addr) {
	if d := s.discovery.Load(); d != nil && d.take(b, from) {
		return
	}
	if !stun.IsMessage(b) {
		return
	}
	s.mu.RLock()
	at, expecting := s.byAddress[from], s.byQuestion[TransactionID(b[8:20])]
	s.mu.RUnlock()
	// Of the classes of messages only responses have this bit (RFC 8489 section 5). They are not limited: nobody else
	// can make one that an endpoint expects, and consent depends on them.
	if b[0] == 1 {
		if expecting != nil {
			expecting.handler.HandleAnswer(b, from, local)
		}
		return
	}
	now := time.Now()
	holder := at.holder(now)
	own := holder != nil && s.asked(b) == holder
	if !limits.check(from, own, now) {
		s.limited.Add(1)
		return
	}
	if e := s.asked(b); e != nil {
		e.handler.HandleCheck(b, from, local)
	}
}

// asked is the endpoint that a Binding request names, nil if there is none.
func (s *Socket) asked(b []byte) *Endpoint {
	ufrag := RequestUfrag(b)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byUfrag[ufrag]
}

// holder is the endpoint whose session has proven to be at an address, or has been vouched for and heard from; nil:
// none. Others behind the same NAT, and those who forge its address, must not keep its checks from us.
func (p place) holder(now time.Time) *Endpoint {
	switch {
	case p.bound != nil && p.bound.Proven():
		return p.bound.endpoint
	case p.vouched != nil && p.vouched.HeardWithin(AddressHold, now):
		return p.vouched.endpoint
	}
	return nil
}

// RequestUfrag is the user name fragment of the agent that a Binding request asks: the first half of its USERNAME (RFC
// 8445 section 7.2.2). It is empty if b is anything else.
func RequestUfrag(b []byte) string {
	m := stun.Message{Raw: b}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return ""
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return ""
	}
	ours, _, ok := strings.Cut(string(name), ":")
	if !ok {
		return ""
	}
	return ours
}
