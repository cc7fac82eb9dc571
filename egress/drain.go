package egress

import (
	"errors"

	"siaran"
)

var errMoved = errors.New("sent to another server")

// Everybody returns the sessions of all children, and of all viewers, whether connected or not.
func (s *Server) Everybody() (children, viewers []siaran.SessionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, sess := range s.sessions {
		if sess.child {
			children = append(children, id)
		} else {
			viewers = append(viewers, id)
		}
	}
	return children, viewers
}

// Move ends a session because this server drains. If it has ended already, that is fine.
func (s *Server) Move(id siaran.SessionID) {
	if sess, err := s.find(id); err == nil {
		sess.end(errMoved)
	}
}
