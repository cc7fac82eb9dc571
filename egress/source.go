package egress

import (
	"net/netip"
	"slices"
	"time"

	"siaran/internal/monotonic"
	"siaran/mediaport"
)

const (
	maxSources = 8 // addresses from which a viewer may send checks at a time
	// How many times the bytes that came from an address it gets at most until it has answered (as in RFC 9000 section
	// 8.1).
	maxAmplification = 3
	// How long after its last answer an address may be sent to (RFC 7675 section 5.1).
	consentTime = 30 * time.Second
	// A viewer that has been silent on its selected path for this long is followed to another path that it nominates...
	quietPath = time.Second
	// ...and after this long, during which it has not checked the selected path either, to one that it only checks.
	stalePath = 3 * time.Second
)

// source is an address that right checks of a viewer have come from, together with the address of ours that they came
// to, and the ICE session that they were made with.
//
// A right check shows that its sender knows the session's password. It does not show that the sender is where the
// datagram says: anyone with a session of their own can forge the address of somebody else. So each source is asked in
// turn. Only the answer proves it, because it holds a number that nobody else has seen. Media goes to proven sources
// alone.
type source struct {
	*mediaport.Claim // it is heard from with a right check, an answer and a genuine report
	ice              *credentials
	path             *mediaport.Path

	// Guarded by link.mu.
	nominated      bool // by its newest check
	received, sent int  // bytes, until it is proven
	question       question
}

// trusted reports whether a source has answered recently enough to be sent media (RFC 7675).
func (s *source) trusted(now time.Time) bool {
	return s.ProvenWithin(consentTime, now)
}

// pays counts bytes that came from a source, and size bytes that are to be sent there. It reports whether they may be
// sent. The caller holds link.mu.
func (s *source) pays(size, received int) bool {
	if s.Proven() || s.path.Relayed() {
		return true
	}
	s.received += received
	if s.sent+size > maxAmplification*s.received {
		return false
	}
	s.sent += size
	return true
}

// find is the source of an ICE session with these addresses, or nil. The caller holds l.mu.
func (l *link) find(ice *credentials, from netip.AddrPort, local netip.Addr) *source {
	for _, s := range l.sources {
		if s.ice == ice && s.path.Address() == from && s.path.Local() == local {
			return s
		}
	}
	return nil
}

// at is the source with these addresses, or nil. During a restart there may be two, and what is not STUN names none:
// then it is the one of the path in use. The caller holds l.mu.
func (l *link) at(from netip.AddrPort, local netip.Addr) *source {
	if s := l.find(l.credentials, from, local); s != nil {
		return s
	}
	return l.find(l.next, from, local)
}

// addSource makes room for a source and adds it. The caller holds l.mu.
func (l *link) addSource(ice *credentials, from netip.AddrPort, local netip.Addr) *source {
	if len(l.sources) == maxSources {
		l.dropSource()
	}
	s := &source{Claim: l.endpoint.Claim(from), ice: ice, path: l.socket.Path(from, local)}
	l.sources = append(l.sources, s)
	return s
}

// dropSource forgets the least valuable source: never the selected one, and unproven ones first. The caller holds l.mu.
func (l *link) dropSource() {
	worst := -1
	for i, s := range l.sources {
		if s == l.selected.Load() {
			continue
		}
		if worst < 0 || s.worse(l.sources[worst]) {
			worst = i
		}
	}
	s := l.sources[worst]
	l.sources = slices.Delete(l.sources, worst, worst+1)
	l.forgetQuestion(s)
	s.Drop()
}

func (s *source) worse(than *source) bool {
	if proven := s.Proven(); proven != than.Proven() {
		return !proven
	}
	return s.HeardBefore(than.Claim)
}

// consider moves the media to a source that has sent a check or has answered, if it is better than the selected one.
//
// A viewer may nominate a path that works in one direction only, as some nominate with every check. So while the
// viewer's own reports come by the selected path, a nomination alone moves nothing. After a restart it does: the viewer
// has given up the ICE session before (RFC 8445 section 9). The caller holds l.mu.
func (l *link) consider(s *source, now time.Time) {
	if !s.trusted(now) {
		return
	}
	switch selected := l.selected.Load(); {
	case selected == nil:
	case selected == s:
		return
	case s.ice != selected.ice && (s.nominated || !selected.HeardWithin(quietPath, now)):
	case s.nominated && monotonic.Nanos(now)-l.spoke.Load() > int64(quietPath):
	case !selected.HeardWithin(stalePath, now):
	default:
		return
	}
	l.choose(s, now)
}

// choose sends the media to s from now on. The caller holds l.mu.
func (l *link) choose(s *source, now time.Time) {
	if before := l.selected.Load(); before != nil {
		before.question.next = time.Time{}
	}
	l.selected.Store(s)
	if s.ice == l.next {
		l.adopt()
		s.Bind(now) // what was at this address before the restart may have had it
	}
	l.spoke.Store(monotonic.Nanos(now))
	s.question.next = now.Add(consentInterval())
	l.due.Store(0)
	if !l.proven {
		l.proven = true
		close(l.reachable)
	}
}

// speaks notes that the viewer itself, and not just a check, has used a source: where it sends from is where it wants
// to receive.
func (l *link) speaks(s *source, now time.Time) {
	if s == nil {
		return
	}
	if s == l.selected.Load() {
		s.Hear(now)
		l.spoke.Store(monotonic.Nanos(now))
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed && s.trusted(now) && slices.Contains(l.sources, s) {
		s.Hear(now)
		l.choose(s, now)
	}
}

// consented reports whether the viewer still consents to what we send (RFC 7675).
func (l *link) consented(now time.Time) bool {
	s := l.selected.Load()
	return s != nil && s.trusted(now)
}
