package egress

import (
	"time"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/sdp"
)

// endedSession is what is kept of a session whose viewer has closed its connection and may still send the DELETE, as
// most pages do.
type endedSession struct {
	info siaran.SessionInfo
	at   time.Time
}

const lingerTime = 5 * time.Second

// Sessions is how many viewers and children a stream has, those included that are about to connect.
func (s *Server) Sessions(stream siaran.StreamName) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, a := range s.audiences {
		if b.Stream() == stream {
			n += len(a.sessions)
		}
	}
	return n
}

// Load returns how many viewers there are, connected or connecting.
func (s *Server) Load() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions) - s.children
}

func (s *Server) find(id siaran.SessionID) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess, nil
	}
	return nil, siaran.ErrUnknownSession
}

// Session describes a session that is running or whose viewer has just hung up. Otherwise it fails with
// ErrUnknownSession.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess.info(), nil
	}
	if f, ok := s.recentlyEnded[id]; ok {
		return f.info, nil
	}
	return siaran.SessionInfo{}, siaran.ErrUnknownSession
}

// AddCandidates takes trickled candidates (RFC 8838) and ignores them. An ICE-lite agent sends no checks, so it needs
// none: a viewer's address is learned from its own checks (RFC 8445 section 7.3.1.3). It fails with ErrUnknownSession,
// and with ErrTagChanged if tag is not that of the newest ICE session.
func (s *Server) AddCandidates(id siaran.SessionID, tag string, _ []string) error {
	sess, err := s.find(id)
	if err == nil && sess.link.current().ufrag != tag {
		err = siaran.ErrTagChanged
	}
	return err
}

// Restart begins a new ICE session in a viewer's session (RFC 8445 section 9). Media goes on by the path of the one
// before until a path of the new one has proven itself. It fails with ErrUnknownSession, and with ErrTagChanged if tag
// is not that of the newest ICE session.
func (s *Server) Restart(id siaran.SessionID, tag string, fragment *sdp.Fragment) (siaran.Restarted, error) {
	sess, err := s.find(id)
	if err != nil {
		return siaran.Restarted{}, err
	}
	ice, err := sess.link.restart(tag, fragment.Ufrag, fragment.Password)
	if err != nil {
		return siaran.Restarted{}, err
	}
	answer := sess.link.restarts
	answer.Ufrag, answer.Password, answer.UDP = ice.ufrag, ice.pwd, s.socket.Addresses()
	return siaran.Restarted{Fragment: answer.Marshal(), Tag: ice.ufrag}, nil
}

// Trace returns the trace of a session, or measure.NoTrace if it has none.
func (s *Server) Trace(id siaran.SessionID) measure.Trace {
	if sess, err := s.find(id); err == nil {
		return sess.trace
	}
	return measure.NoTrace
}

// End ends a session at its viewer's request and returns when nothing of it is left. It fails with ErrUnknownSession.
func (s *Server) End(id siaran.SessionID) error {
	s.mu.Lock()
	sess := s.sessions[id]
	_, left := s.recentlyEnded[id]
	delete(s.recentlyEnded, id)
	s.mu.Unlock()
	switch {
	case sess != nil:
		sess.end(errEnded)
	case !left:
		return siaran.ErrUnknownSession
	}
	return nil
}

// Withdraw ends a session whose viewer may no longer watch. It fails with ErrUnknownSession, also if the viewer has
// just left.
func (s *Server) Withdraw(id siaran.SessionID) error {
	sess, err := s.find(id)
	if err == nil {
		sess.end(errWithdrawn)
	}
	return err
}

// Kick ends the session of a viewer of a stream. It fails with ErrUnknownSession if the viewer is not watching it.
func (s *Server) Kick(stream siaran.StreamName, viewer siaran.ViewerID) error {
	s.mu.Lock()
	found := s.watching(stream, viewer)
	s.mu.Unlock()
	if found == nil {
		return siaran.ErrUnknownSession
	}
	found.end(errKicked)
	return nil
}
