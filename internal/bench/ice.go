package bench

import (
	"net/netip"
	"time"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"
)

const (
	checkPriority = 2130706431 // of a host candidate (RFC 8445 section 5.1.2.1)
	checkPace     = 20 * time.Millisecond
	checkRepeat   = 200 * time.Millisecond
)

// agent is a controlling ICE agent with one socket (RFC 8445). Its caller supplies the time and the datagrams.
type agent struct {
	own        credentials
	remote     credentials
	candidates []netip.AddrPort
	tie        uint64
	out        stun.MessageIntegrity // of our checks
	in         stun.MessageIntegrity // of the server's checks

	pending  map[[stun.TransactionIDSize]byte]pendingCheck
	valid    netip.AddrPort // has answered a check
	selected netip.AddrPort // has answered a nomination
	heard    time.Duration  // when the selected address last answered a check
}

type pendingCheck struct {
	to        netip.AddrPort
	nominated bool
}

const maxPending = 64

func newAgent(own, remote credentials, candidates []netip.AddrPort, tie uint64) *agent {
	return &agent{
		own: own, remote: remote, candidates: candidates, tie: tie,
		out: stun.NewShortTermIntegrity(remote.pwd), in: stun.NewShortTermIntegrity(own.pwd),
		pending: make(map[[stun.TransactionIDSize]byte]pendingCheck),
	}
}

// check builds a connectivity check, or a consent check (RFC 7675), for an address.
func (a *agent) check(to netip.AddrPort, nominate bool) []byte {
	setters := []stun.Setter{
		stun.TransactionID, stun.BindingRequest, stun.NewUsername(a.remote.ufrag + ":" + a.own.ufrag),
		ice.AttrControlling(a.tie), ice.PriorityAttr(checkPriority),
	}
	if nominate {
		setters = append(setters, ice.UseCandidate())
	}
	m, err := stun.Build(append(setters, a.out, stun.Fingerprint)...)
	if err != nil {
		return nil
	}
	if len(a.pending) >= maxPending {
		clear(a.pending) // the answers to all of them are overdue
	}
	a.pending[m.TransactionID] = pendingCheck{to, nominate}
	return m.Raw
}

// next returns the check to send first, and again after each pause until an address is selected. Round counts from 0.
func (a *agent) next(round int) (datagram []byte, to netip.AddrPort) {
	if a.valid.IsValid() {
		return a.check(a.valid, true), a.valid
	}
	to = a.candidates[round%len(a.candidates)]
	return a.check(to, len(a.candidates) == 1), to
}

// handle processes a STUN message and returns what to send back, if anything. It also reports whether this message has
// selected an address.
func (a *agent) handle(b []byte, from netip.AddrPort, now time.Duration) (reply []byte, selected bool) {
	m := &stun.Message{Raw: append([]byte(nil), b...)} // checking the integrity writes to it
	if m.Decode() != nil {
		return nil, false
	}
	switch m.Type {
	case stun.BindingRequest: // of a full agent
		name, err := m.Get(stun.AttrUsername)
		if err != nil || string(name) != a.own.ufrag+":"+a.remote.ufrag || a.in.Check(m) != nil {
			return nil, false
		}
		answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
			&stun.XORMappedAddress{IP: from.Addr().AsSlice(), Port: int(from.Port())}, a.in, stun.Fingerprint)
		if err != nil {
			return nil, false
		}
		return answer.Raw, false
	case stun.BindingSuccess:
		return a.answered(m, from, now)
	}
	return nil, false
}

func (a *agent) answered(m *stun.Message, from netip.AddrPort, now time.Duration) (reply []byte, selected bool) {
	p, ok := a.pending[m.TransactionID]
	if !ok || p.to != from || a.out.Check(m) != nil { // symmetric (RFC 8445 section 7.2.5.2.1)
		return nil, false
	}
	delete(a.pending, m.TransactionID)
	if a.selected.IsValid() {
		if from == a.selected {
			a.heard = now
		}
		return nil, false
	}
	if !a.valid.IsValid() {
		a.valid = from
	}
	if from != a.valid {
		return nil, false
	}
	if !p.nominated {
		return a.check(from, true), false
	}
	a.selected, a.heard = from, now
	return nil, true
}
