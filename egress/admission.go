package egress

import (
	"errors"
	"time"

	"siaran"
)

// begin admits a session. From then on its viewer's checks are answered.
func (s *Server) begin(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return siaran.ErrClosed
	}
	a := s.audiences[sess.broadcast]
	if err := s.admit(sess, a); err != nil {
		return err
	}
	if a == nil {
		a = &audience{sessions: make(map[*session]struct{}), bans: make(map[mark]struct{})}
		s.audiences[sess.broadcast] = a
		s.running.Go(func() { s.watchBroadcast(sess.broadcast) })
	}
	a.sessions[sess] = struct{}{}
	sess.worker = s.leastLoaded()
	sess.worker.load.Add(1)
	s.sessions[sess.id] = sess
	if sess.child {
		s.children++
	} else {
		s.setups++
		s.setupsBy.Add(sess.from)
	}
	sess.link.endpoint.Open()
	return nil
}

// admit fails if there are too many sessions for another one, or if its viewer is banned from a, the audience; nil if
// it is the first. The caller holds s.mu.
func (s *Server) admit(sess *session, a *audience) error {
	if a != nil && a.banned(sess) {
		return siaran.ErrBanned
	}
	if sess.child {
		if s.children >= s.limits.Load().MaxChildren {
			return siaran.ErrTooManySessions
		}
		return nil
	}
	if s.full() || s.setups >= s.cfg.MaxSetups {
		return siaran.ErrTooManySessions
	}
	if sess.broadcast.Full() {
		return siaran.ErrStreamFull
	}
	if s.setupsBy.Over(sess.from, s.limits.Load().Share, s.cfg.MaxSetups) ||
		s.viewersBy.Over(sess.from, s.limits.Load().Share, s.limits.Load().MaxSessions) {
		return siaran.ErrShare
	}
	return nil
}

// full reports whether no more viewers can connect. The caller holds s.mu.
func (s *Server) full() bool {
	return len(s.sessions)-s.setups-s.children >= s.limits.Load().MaxSessions
}

func (s *Server) leastLoaded() *worker {
	least := s.workers[0]
	for _, w := range s.workers[1:] {
		if w.load.Load() < least.load.Load() {
			least = w
		}
	}
	return least
}

// connected turns a setup into a connected viewer. It fails if there are too many.
func (s *Server) connected(sess *session, v *viewer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.child {
		sess.viewer.Store(v)
		s.cfg.Logger.Info("child connected",
			"stream", sess.broadcast.Stream(), "child", sess.owner, "session", sess.id.String())
		return nil
	}
	if s.full() {
		return siaran.ErrTooManySessions
	}
	if s.viewersBy.Over(sess.from, s.limits.Load().Share, s.limits.Load().MaxSessions) {
		return siaran.ErrShare
	}
	s.setups--
	s.setupsBy.Remove(sess.from)
	s.viewersBy.Add(sess.from)
	sess.viewer.Store(v)
	s.joins.outcomes.Count("connected")
	s.cfg.Logger.Info("viewer connected",
		"stream", sess.broadcast.Stream(), "viewer", sess.viewerID, "session", sess.id.String())
	return nil
}

func (s *Server) forget(sess *session, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	if errors.Is(why, errLeft) && len(s.recentlyEnded) < s.limits.Load().MaxSessions {
		s.recentlyEnded[sess.id] = endedSession{sess.info(), time.Now()}
	}
	if a := s.audiences[sess.broadcast]; a != nil {
		delete(a.sessions, sess)
	}
	switch {
	case sess.child:
		s.children--
	case sess.viewer.Load() == nil:
		s.setups--
		s.setupsBy.Remove(sess.from)
	default:
		s.viewersBy.Remove(sess.from)
	}
	sess.worker.load.Add(-1)
}
