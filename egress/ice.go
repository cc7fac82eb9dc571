package egress

import (
	"net/netip"
	"slices"
	"time"

	"siaran/mediaport"

	"github.com/pion/stun/v3"
)

// genuine decodes a STUN message and reports whether its MESSAGE-INTEGRITY is right. It keeps only the attributes that
// the integrity covers: an agent must ignore those that follow it (RFC 8489 section 14.5), as anybody can add them.
func genuine(b []byte, integrity stun.MessageIntegrity) (*stun.Message, bool) {
	m := &stun.Message{Raw: slices.Clone(b)} // checking the integrity writes to it
	if m.Decode() != nil || integrity.Check(m) != nil {
		return m, false
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return m, false
	}
	end := slices.IndexFunc(m.Attributes, func(a stun.RawAttribute) bool {
		return a.Type == stun.AttrMessageIntegrity
	})
	m.Attributes = m.Attributes[:end]
	return m, true
}

// HandleCheck implements mediaport.Handler. It answers a connectivity check as an ICE-lite agent (RFC 8445 section
// 7.3), and asks back an address that has not proven itself.
func (l *link) HandleCheck(b []byte, from netip.AddrPort, local netip.Addr) {
	ice := l.named(mediaport.RequestUfrag(b))
	if ice == nil {
		return
	}
	m, right := genuine(b, ice.integrity)
	if name, _ := m.Get(stun.AttrUsername); !right || string(name) != ice.ufrag+":"+ice.remoteUfrag {
		l.refuse(m, from, local, stun.CodeUnauthorized)
		return
	}
	if m.Contains(stun.AttrICEControlled) { // an ICE-lite agent never controls (RFC 8445 section 6.1.1)
		l.refuse(m, from, local, stun.CodeRoleConflict, ice.integrity)
		return
	}
	mapped := l.socket.Mapped(from)
	answer, err := stun.Build(stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())}, ice.integrity, stun.Fingerprint)
	if err != nil {
		return
	}
	l.checked(check{
		ice: ice, id: m.TransactionID, nominates: m.Contains(stun.AttrUseCandidate),
		from: from, local: local, size: len(b), answer: answer.Raw,
	}, time.Now())
}

// refuse answers a check with an error. The address has not proven itself, so the answer must be shorter than three
// times the shortest check.
func (l *link) refuse(
	m *stun.Message, to netip.AddrPort, from netip.Addr, code stun.ErrorCode, more ...stun.Setter,
) {
	setters := append([]stun.Setter{
		stun.NewTransactionIDSetter(m.TransactionID),
		stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), code,
	}, more...)
	if r, err := stun.Build(append(setters, stun.Fingerprint)...); err == nil {
		l.transmit(r.Raw, l.socket.Path(to, from))
	}
}

// check is a connectivity check whose integrity is right.
type check struct {
	ice       *credentials
	id        mediaport.TransactionID
	nominates bool // USE-CANDIDATE
	from      netip.AddrPort
	local     netip.Addr
	size      int
	answer    []byte
}

// checked takes a right check: it notes the source, asks it to prove itself, and answers.
func (l *link) checked(c check, now time.Time) {
	src, first := l.note(c, now)
	if src == nil {
		return
	}
	src.Bind(now)
	if first {
		l.events.firstCheck()
	}
}

// note is the part of checked under the lock. It returns the source, or nil if the check does not count, and whether
// this was the first right check.
func (l *link) note(c check, now time.Time) (src *source, first bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || c.ice != l.credentials && c.ice != l.next {
		return nil, false
	}
	src = l.find(c.ice, c.from, c.local)
	if !l.ids.Add(c.id) {
		// From the same source it is a retransmission, which wants its answer again. From elsewhere it is a copy.
		if src != nil && src.pays(len(c.answer), c.size) {
			l.transmit(c.answer, src.path)
		}
		return nil, false
	}
	if src == nil {
		src = l.addSource(c.ice, c.from, c.local)
	}
	src.Hear(now)
	src.nominated = c.nominates
	answered := src.pays(len(c.answer), c.size)
	if src.path.Relayed() {
		// A client of the relay has answered the relay's nonce (RFC 8656 section 5), and nobody can forge its address.
		src.Prove(now)
	}
	// The question goes first: an agent that has its answer may begin DTLS before it reads on.
	if !src.trusted(now) {
		l.ask(src, now)
	}
	l.consider(src, now)
	if answered {
		l.transmit(c.answer, src.path)
	}
	if first = !l.begun; first {
		l.begun = true
		l.pipe = newDTLSConn(l)
	}
	return src, first
}
