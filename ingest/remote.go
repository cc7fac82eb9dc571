package ingest

import (
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"siaran/mediaport"

	"github.com/pion/stun"
)

const (
	// How long an address must be silent before another session may have it, or before it is dropped to make room.
	addressHold = mediaport.AddressHold
	maxBound    = 64 // remote addresses that one session may send to
	// The most that is sent to an address that has not answered us. A candidate gets four checks. An address that a
	// check came from gets three times the check's bytes (RFC 9000 section 8.1), since the sender may have forged it.
	candidateBytes = 512
	forgeryFactor  = 3
	maxPending     = 8 // checks of ours that an address may still answer
)

// remote is an address that a session has sent to or has heard from.
type remote struct {
	claim   *mediaport.Claim
	relayed bool         // a client of the relay is there
	udp     *net.UDPAddr // the address for pion
	path    atomic.Pointer[mediaport.Path]

	// Guarded by the session's mu.
	in, out int // bytes, until it is proven
	proven  bool
	pending [][stun.TransactionIDSize]byte
	standing

	// The newest check that nominated the address before it was proven, as pion gets it. pion looks at nominations when
	// checks come, and the broadcaster may send no more of them.
	nomination []byte
}

// reached notes which of our addresses a check was sent to, so that packets to the broadcaster leave from there.
func (r *remote) reached(local netip.Addr, port *mediaport.Socket) {
	if local.IsValid() && r.path.Load().Local() != local {
		r.path.Store(port.Path(r.claim.Address(), local))
	}
}

// may counts a datagram that is to be sent, and reports whether it may be sent.
func (r *remote) may(b []byte) bool {
	if r.proven {
		return true
	}
	limit := forgeryFactor * r.in
	if r.in == 0 {
		limit = candidateBytes
	}
	if r.out+len(b) > limit {
		return false
	}
	r.out += len(b)
	if id, request := transactionOf(b, stun.BindingRequest); request {
		if len(r.pending) == maxPending {
			r.pending = r.pending[1:]
		}
		r.pending = append(r.pending, id)
	}
	return true
}

// answers notes an answer to a check of ours: only the receiver of the check knows its transaction id.
func (r *remote) answers(b []byte) {
	if id, success := transactionOf(b, stun.BindingSuccess); success && !r.proven && slices.Contains(r.pending, id) {
		r.proven, r.pending = true, nil
	}
}

func transactionOf(b []byte, kind stun.MessageType) (id [stun.TransactionIDSize]byte, ok bool) {
	m := stun.Message{Raw: b}
	if !stun.IsMessage(b) || m.Decode() != nil || m.Type != kind {
		return id, false
	}
	return m.TransactionID, true
}

// iceAt is the ICE session in which the broadcaster is at an address, nil if it has not been heard from there.
func (s *muxSession) iceAt(r *remote) *credentials {
	s.mu.Lock()
	defer s.mu.Unlock()
	return r.ice
}

// bind finds or makes the entry of an address; nil when there are too many. The caller holds mu.
func (s *muxSession) bind(addr netip.AddrPort) *remote {
	if r := s.bound[addr]; r != nil {
		return r
	}
	if len(s.bound) >= maxBound {
		return nil
	}
	relayed := mediaport.Relayed(addr)
	r := &remote{
		claim: s.endpoint.Claim(addr), relayed: relayed, udp: net.UDPAddrFromAddrPort(addr),
		proven: relayed, // nobody can forge the addresses of the relay's clients
	}
	r.path.Store(s.mux.port.Path(addr, netip.Addr{}))
	s.bound[addr] = r
	return r
}

// bindOrEvict is bind, but makes room by dropping a silent address of the session if it must. Otherwise somebody who
// replays a captured check from ever more forged addresses could take all the room. The caller holds mu.
func (s *muxSession) bindOrEvict(addr netip.AddrPort, now time.Time) *remote {
	if len(s.bound) >= maxBound {
		for old, r := range s.bound {
			if r.claim.Vouched() && !r.claim.HeardWithin(addressHold, now) && s.sent.Load() != r {
				r.claim.Drop()
				delete(s.bound, old)
				break
			}
		}
	}
	return s.bind(addr)
}

// maySend counts b, which is to be sent to an address, and makes the session expect an answer to a check. It returns
// nil if b must not be sent.
func (s *muxSession) maySend(b []byte, addr netip.AddrPort) *remote {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	r := s.bind(addr)
	if r == nil {
		return nil
	}
	if !r.may(b) {
		return nil
	}
	if id, request := transactionOf(b, stun.BindingRequest); request {
		s.expectAnswer(id)
	}
	if r.proven {
		s.sent.Store(r)
	}
	return r
}

// maxOpenChecks is how many of pion's newest checks may still be answered. It has 32 candidates to check at most, and
// later one path.
const maxOpenChecks = 512

// asked are the transaction ids of checks that have not been answered.
type asked struct {
	ids  [][stun.TransactionIDSize]byte
	next int // of ids, to be replaced
}

// expectAnswer makes the answer to a check come to the session. The caller holds mu.
func (s *muxSession) expectAnswer(id [stun.TransactionIDSize]byte) {
	if len(s.asked.ids) < maxOpenChecks {
		s.asked.ids = append(s.asked.ids, id)
	} else {
		s.endpoint.Forget(s.asked.ids[s.asked.next])
		s.asked.ids[s.asked.next] = id
		s.asked.next = (s.asked.next + 1) % maxOpenChecks
	}
	s.endpoint.Expect(id)
}

// forgetAnswers takes back what expectAnswer has done. The caller holds mu.
func (s *muxSession) forgetAnswers() {
	for _, id := range s.asked.ids {
		s.endpoint.Forget(id)
	}
}
