package egress

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/pion/stun"
)

const (
	maxAddresses = 8 // sources a viewer may be checked from at a time
	// A viewer whose selected address has been silent for this long is followed to another that is checked.
	stalePath = 3 * time.Second
	// RFC 7675 section 5.1: without an authenticated check for so long, sending stops.
	consentTime = 30 * time.Second
)

// linkOfCheck finds whom a STUN binding request is for, by the first half of its USERNAME; nil for nobody here.
func (s *Socket) linkOfCheck(b []byte) *link {
	if !stun.IsMessage(b) {
		return nil
	}
	m := stun.Message{Raw: b}
	if m.Decode() != nil || m.Type != stun.BindingRequest {
		return nil
	}
	name, err := m.Get(stun.AttrUsername)
	if err != nil {
		return nil
	}
	ours, _, ok := strings.Cut(string(name), ":")
	if !ok {
		return nil
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.byUfrag[ours]
}

// handleCheck answers a connectivity check as an ICE-lite agent (RFC 8445 section 7.3). It is called by the socket's reader.
func (l *link) handleCheck(b []byte, from netip.AddrPort, local netip.Addr) {
	m := &stun.Message{Raw: slices.Clone(b)} // checking the integrity writes to it
	if m.Decode() != nil {
		return
	}
	name, _ := m.Get(stun.AttrUsername)
	if string(name) != l.ufrag+":"+l.remoteUfrag || l.integrity.Check(m) != nil {
		l.answer(from, local, stun.NewTransactionIDSetter(m.TransactionID), stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeUnauthorized, stun.Fingerprint)
		return
	}
	if m.Contains(stun.AttrFingerprint) && stun.Fingerprint.Check(m) != nil {
		return
	}
	if m.Contains(stun.AttrICEControlled) { // an ICE-lite agent is never the controlling one (RFC 8445 section 6.1.1)
		l.answer(from, local, stun.NewTransactionIDSetter(m.TransactionID), stun.NewType(stun.MethodBinding, stun.ClassErrorResponse), stun.CodeRoleConflict, l.integrity, stun.Fingerprint)
		return
	}
	if !l.admit(from, local, m.Contains(stun.AttrUseCandidate)) {
		return
	}
	mapped := l.socket.relays.mapped(from)
	l.answer(from, local, stun.NewTransactionIDSetter(m.TransactionID), stun.BindingSuccess,
		&stun.XORMappedAddress{IP: mapped.Addr().AsSlice(), Port: int(mapped.Port())}, l.integrity, stun.Fingerprint)
}

// answer leaves from the address that was asked, or the viewer would not know it (RFC 8445 section 7.2.5.2.1).
func (l *link) answer(to netip.AddrPort, from netip.Addr, setters ...stun.Setter) {
	if m, err := stun.Build(setters...); err == nil {
		l.socket.send(m.Raw, l.socket.path(to, from))
	}
}

// admit takes a source whose check was right, and chooses where to send. False means that the link is closed.
func (l *link) admit(from netip.AddrPort, local netip.Addr, nominated bool) bool {
	now := time.Now()
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return false
	}
	i := slices.IndexFunc(l.sources, func(s source) bool { return s.address == from })
	fresh := i < 0
	var dropped netip.AddrPort
	if fresh {
		if len(l.sources) == maxAddresses {
			dropped = l.dropOldest()
		}
		l.sources = append(l.sources, source{address: from})
		i = len(l.sources) - 1
	}
	l.sources[i].seen = now
	selected := l.selected.Load()
	if selected == nil || nominated && selected.local != local || selected.address != from && (nominated || l.silent(selected.address, now)) {
		l.selected.Store(l.socket.path(from, local))
		if selected == nil {
			l.pipe = newPipe(l)
		}
	}
	l.mu.Unlock()
	l.lastCheck.Store(now.UnixNano())
	if dropped.IsValid() {
		l.socket.unbind(dropped, l)
	}
	if fresh {
		l.socket.bind(from, l)
	}
	if selected == nil {
		l.found()
	}
	return true
}

// silent tells whether an address has not been checked for a while. The caller holds l.mu.
func (l *link) silent(address netip.AddrPort, now time.Time) bool {
	for _, s := range l.sources {
		if s.address == address {
			return now.Sub(s.seen) > stalePath
		}
	}
	return true
}

// dropOldest forgets the source that was checked longest ago and is not in use. The caller holds l.mu.
func (l *link) dropOldest() netip.AddrPort {
	selected := l.selected.Load()
	oldest := -1
	for i, s := range l.sources {
		if selected != nil && s.address == selected.address {
			continue
		}
		if oldest < 0 || s.seen.Before(l.sources[oldest].seen) {
			oldest = i
		}
	}
	address := l.sources[oldest].address
	l.sources = slices.Delete(l.sources, oldest, oldest+1)
	return address
}

// consented tells whether the viewer still wants what we send (RFC 7675).
func (l *link) consented(now time.Time) bool {
	return now.UnixNano()-l.lastCheck.Load() < int64(consentTime)
}
