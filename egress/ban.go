package egress

import (
	"net/netip"

	"siaran"
	"siaran/internal/netaddr"
)

// maxBans is how many entries the list of one broadcast has at most.
const maxBans = 2000

// audience holds the sessions of a broadcast, and whom it has banned. It lasts as long as the broadcast.
type audience struct {
	sessions map[*session]struct{}
	bans     map[mark]struct{}
}

// mark is what a banned viewer is known by: the owner of its token, the source of its offer, or both.
type mark struct {
	owner  string
	source netip.Prefix
}

// source is where the session's offer came from; not valid if that is not known.
func (s *session) source() netip.Prefix {
	if !s.from.IsValid() {
		return netip.Prefix{}
	}
	return netaddr.SourceOf(s.from)
}

// banned reports whether the session's viewer must stay away. One with a token is not taken for its neighbours.
func (a *audience) banned(s *session) bool {
	if len(a.bans) == 0 || s.child {
		return false
	}
	if s.owner == "" {
		return s.from.IsValid() && a.has(mark{source: s.source()})
	}
	return a.has(mark{owner: s.owner}) || s.from.IsValid() && a.has(mark{s.owner, s.source()})
}

func (a *audience) has(m mark) bool { _, in := a.bans[m]; return in }

// marks returns what s is to be known by. A token that others use too, from elsewhere, is a link that was passed
// around: with it only the source of s is banned. Without a token the same viewer could come from its source, too.
func (a *audience) marks(s *session) ([]mark, siaran.BannedBy) {
	known := s.from.IsValid()
	var list []mark
	by := siaran.BannedByAddress
	switch {
	case s.owner == "":
	case !a.shared(s):
		list, by = append(list, mark{owner: s.owner}), siaran.BannedByToken
	case known:
		list = append(list, mark{s.owner, s.source()})
	}
	if known {
		list = append(list, mark{source: s.source()})
	}
	return list, by
}

// shared reports whether the token of s is used from another source as well.
func (a *audience) shared(s *session) bool {
	for other := range a.sessions {
		if other.owner == s.owner && other.source() != s.source() {
			return true
		}
	}
	return false
}

// Ban ends the session of a viewer and all others of the same viewer, and lets none of them in again during this
// broadcast. It returns how many sessions that are, and what the viewer is known by. It fails with ErrUnknownSession if
// the viewer is not watching the stream, with ErrUnidentified, and with ErrTooManyBans; then nothing has changed.
func (s *Server) Ban(stream siaran.StreamName, viewer siaran.ViewerID) (int, siaran.BannedBy, error) {
	list, by, err := s.ban(stream, viewer)
	if err != nil {
		return 0, "", err
	}
	s.joins.bans.Count(string(by))
	endAll(list, errBanned)
	return len(list), by, nil
}

func (s *Server) ban(stream siaran.StreamName, viewer siaran.ViewerID) ([]*session, siaran.BannedBy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess := s.watching(stream, viewer)
	if sess == nil {
		return nil, "", siaran.ErrUnknownSession
	}
	a := s.audiences[sess.broadcast]
	if a == nil { // the broadcast has just ended
		return nil, "", siaran.ErrUnknownSession
	}
	marks, by := a.marks(sess)
	if len(marks) == 0 {
		return nil, "", siaran.ErrUnidentified
	}
	if len(a.bans)+len(marks) > maxBans {
		return nil, "", siaran.ErrTooManyBans
	}
	for _, m := range marks {
		a.bans[m] = struct{}{}
	}
	var list []*session
	for other := range a.sessions {
		if a.banned(other) {
			list = append(list, other)
		}
	}
	return list, by, nil
}

// watching returns the session of a viewer of a stream, or nil. The caller holds s.mu.
func (s *Server) watching(stream siaran.StreamName, viewer siaran.ViewerID) *session {
	for _, sess := range s.sessions {
		if sess.viewerID == viewer && !sess.child && sess.broadcast.Stream() == stream {
			return sess
		}
	}
	return nil
}
