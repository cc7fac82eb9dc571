package ingest

import (
	"net/netip"
	"slices"

	"github.com/pion/ice/v2"
	"github.com/pion/stun"

	"siaran/internal/sdp"
)

// credentials are those of one ICE session (RFC 8839 section 5.4).
//
// pion's agent never hears of a restart. It would give up the path in use at once, and have none if the restart failed.
// It keeps the first credentials, and the STUN messages of later ICE sessions are translated on their way to it and
// from it. To the agent a restart is a broadcaster that nominates one more pair.
type credentials struct {
	ufrag, password             string // ours
	remoteUfrag, remotePassword string
}

// generations are the ICE sessions of a muxSession, whose mu guards them.
type generations struct {
	first *credentials // those that pion has
	ice   *credentials // of the path in use; at the beginning the first
	next  *credentials // of a restart under way: none of its paths is in use; nil: there is none

	nominations int // so far
	moved       int // the number of the one that pion was moved to
}

// standing is what the checks of a broadcaster from one address say of it.
type standing struct {
	ice       *credentials // of the newest; nil: there has been none
	nominated int          // the number of its newest nomination; 0: none
}

// check notes a check that was made with c.
func (g *generations) check(st *standing, c *credentials, nominates bool) {
	if st.ice != c {
		*st = standing{ice: c}
	}
	if nominates {
		g.nominations++
		st.nominated = g.nominations
	}
}

// newest is what the broadcaster uses for what it sends from now on.
func (g *generations) newest() *credentials {
	if g.next != nil {
		return g.next
	}
	return g.ice
}

// named is the ICE session with this user name fragment of ours, nil if it is over.
func (g *generations) named(ufrag string) *credentials {
	for _, c := range []*credentials{g.ice, g.next} {
		if c != nil && c.ufrag == ufrag {
			return c
		}
	}
	return nil
}

// restart begins an ICE session with these credentials of the broadcaster (RFC 8445 section 9) and returns it. The one
// before goes on until a path of the new one is nominated. It returns nil if the session has ended.
func (s *muxSession) restart(remoteUfrag, remotePassword string) *credentials {
	c := &credentials{
		ufrag: sdp.RandomText(16), password: sdp.RandomText(32),
		remoteUfrag: remoteUfrag, remotePassword: remotePassword,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.left {
		return nil
	}
	if s.next != nil { // a restart that was under way
		s.forget(s.next)
	}
	s.next = c
	s.mux.name(c.ufrag, s)
	s.endpoint.AddUfrag(c.ufrag)
	for addr, r := range s.bound { // what came from there before the last restart has arrived by now
		if r.ice != nil && r.ice != s.ice {
			s.sent.CompareAndSwap(r, nil)
			r.claim.Drop()
			delete(s.bound, addr)
		}
	}
	return c
}

// forget ends an ICE session: its checks come to nobody. Packets may still be on their way from its addresses. The
// caller holds mu.
func (s *muxSession) forget(c *credentials) {
	s.mux.unname(c.ufrag, s)
	s.endpoint.RemoveUfrag(c.ufrag)
}

// moves reports whether pion must use the pair of a check: the newest one that the broadcaster has nominated, in an ICE
// session after the first, and where it has answered. By itself pion would keep to the pair with the highest priority,
// whose network may be gone.
func (s *muxSession) moves(_ *stun.Message, _, remote ice.Candidate, _ *ice.CandidatePair) bool {
	ip, err := netip.ParseAddr(remote.Address())
	if err != nil {
		return false
	}
	addr := netip.AddrPortFrom(ip.Unmap(), uint16(remote.Port()))
	s.mu.Lock()
	defer s.mu.Unlock()
	var st standing
	if remote.NetworkType().IsTCP() {
		if conn := s.tcpConns[addr]; conn != nil {
			st = conn.standing
		}
	} else if r := s.bound[addr]; r != nil && r.proven {
		st = r.standing
	}
	if st.ice == nil || st.ice == s.first || st.nominated == 0 || st.nominated < s.moved {
		return false
	}
	if st.ice == s.next {
		s.forget(s.ice)
		s.ice, s.next = s.next, nil
	}
	s.moved = st.nominated
	return st.ice == s.ice
}

// inwardCheck is what pion gets in place of a check that names c, nil if the check was not made with c. nominates
// reports whether it has USE-CANDIDATE. Attributes after MESSAGE-INTEGRITY are ignored: an attacker may have added them
// to a captured check.
func (s *muxSession) inwardCheck(b []byte, c *credentials) (told []byte, nominates bool) {
	m := decoded(b)
	if m == nil || !integral(m, c.password) {
		return nil, false
	}
	m.Attributes = covered(m)
	name, _ := m.Get(stun.AttrUsername) // none is empty
	if c != s.first {                   // otherwise pion looks at it
		if string(name) != c.ufrag+":"+c.remoteUfrag {
			return nil, false
		}
		name = []byte(s.first.ufrag + ":" + s.first.remoteUfrag)
	}
	return retold(m, string(name), s.first.password, nil), m.Contains(stun.AttrUseCandidate)
}

// inwardAnswer is what pion gets in place of an answer to one of its checks; nil: nothing. The caller holds mu.
func (s *muxSession) inwardAnswer(b []byte) []byte {
	if s.newest() == s.first { // there has been no restart, and pion looks at it itself
		return b
	}
	m := decoded(b)
	if m != nil && m.Type.Class == stun.ClassIndication { // a keepalive, which has no integrity (RFC 8445 section 11)
		return b
	}
	for _, c := range []*credentials{s.ice, s.next} {
		if m != nil && c != nil && integral(m, c.remotePassword) {
			return retold(m, "", s.first.remotePassword, nil)
		}
	}
	return nil
}

// outward is what the broadcaster gets in place of a STUN message of pion's. c is the ICE session in which the
// broadcaster is there, nil if it has not been heard from there. mapped, when valid, replaces the address that an
// answer names.
func (s *muxSession) outward(b []byte, c *credentials, mapped netip.AddrPort) []byte {
	s.mu.Lock()
	if c == nil {
		c = s.newest()
	}
	s.mu.Unlock()
	if c == s.first && !mapped.IsValid() {
		return b
	}
	m := decoded(b)
	var told *stun.XORMappedAddress
	if m != nil && mapped.IsValid() && m.Type == stun.BindingSuccess {
		told = &stun.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())}
	}
	if m == nil || c == s.first && told == nil {
		return b
	}
	name, password := "", c.password
	if m.Type.Class == stun.ClassRequest {
		name, password = c.remoteUfrag+":"+c.ufrag, c.remotePassword
	}
	return retold(m, name, password, told)
}

// decoded is a STUN message, with bytes of its own, or nil.
func decoded(b []byte) *stun.Message {
	m := &stun.Message{Raw: slices.Clone(b)}
	if !stun.IsMessage(b) || m.Decode() != nil {
		return nil
	}
	return m
}

func integral(m *stun.Message, password string) bool {
	return stun.NewShortTermIntegrity(password).Check(m) == nil
}

// covered is the attributes of a message that its integrity covers, and that are to be looked at (RFC 8489 section
// 14.5): all of them if it has none.
func covered(m *stun.Message) stun.Attributes {
	for i, a := range m.Attributes {
		if a.Type == stun.AttrMessageIntegrity {
			return m.Attributes[:i]
		}
	}
	return m.Attributes
}

// retold is a STUN message with another user name (none when empty), integrity, and perhaps mapped address. It has no
// attributes but those that the integrity covers. It is nil if it cannot be built.
func retold(m *stun.Message, name, password string, mapped *stun.XORMappedAddress) []byte {
	setters := []stun.Setter{stun.NewTransactionIDSetter(m.TransactionID), m.Type}
	if name != "" {
		setters = append(setters, stun.NewUsername(name))
	}
	for _, a := range covered(m) {
		switch {
		case a.Type == stun.AttrUsername, a.Type == stun.AttrFingerprint:
		case a.Type == stun.AttrXORMappedAddress && mapped != nil:
			setters = append(setters, mapped)
		default:
			setters = append(setters, a)
		}
	}
	out, err := stun.Build(append(setters, stun.NewShortTermIntegrity(password), stun.Fingerprint)...)
	if err != nil {
		return nil
	}
	return out.Raw
}
