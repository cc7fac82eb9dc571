package web

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/web/access"
	"siaran/web/admission"
)

const sitePatience = 30 * time.Second // with a site that does not answer about a session whose time is up

// leased is a session whose right from the site is to be renewed, or over.
type leased struct {
	scope   access.Scope
	stream  siaran.StreamName
	session siaran.SessionID // of a viewer
	owner   string           // of a broadcast
	right   *siteRight
}

// readmit asks the site again about sessions whose time is up, until ctx ends.
func (s *Server) readmit(ctx context.Context) {
	every(ctx, s.lookEvery, nil, func() {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for _, l := range s.rights.due(time.Now()) {
			if ctx.Err() != nil {
				break
			}
			g.Go(func() error { s.askAgain(ctx, l); return nil })
		}
		_ = g.Wait() // nothing fails
	})
}

func (s *Server) askAgain(ctx context.Context, l leased) {
	now := time.Now()
	if !l.right.end.IsZero() && !now.Before(l.right.end) {
		s.sendAway(l, "the site allowed it for a limited time")
		return
	}
	q := l.right.question
	q.Again = true
	v, err := s.cfg.Admission.Ask(ctx, q, func() error { return nil })
	next := *l.right
	next.name, next.until = v.Name, v.Until
	switch none := errors.Is(err, admission.ErrNoAnswer); {
	case none && s.cfg.AdmissionOpen:
		next.name, next.until = l.right.name, now.Add(openUntil)
	case none && now.Before(l.right.until.Add(sitePatience)):
		return
	case err != nil:
		s.sendAway(l, siteError(err).Error())
		return
	}
	s.rights.readmitted(l, &next)
}

// sendAway ends a session that the site does not allow any more.
func (s *Server) sendAway(l leased, why string) {
	if l.scope == access.Publish {
		if s.cfg.Hub.EndOf(l.stream, l.owner, siaran.EndByOwner) == nil {
			s.log.Info("broadcast ended: the site does not allow it any more", "stream", l.stream, "reason", why)
		}
		return
	}
	if s.cfg.Egress.Withdraw(l.session) == nil {
		s.log.Info("viewer sent away: the site does not allow it any more",
			"stream", l.stream, "session", l.session.String(), "reason", why)
	}
}

// due returns the sessions about which the site is to be asked again, or whose time is over.
func (r *rights) due(now time.Time) (list []leased) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, h := range r.broadcasts {
		if h.site.due(now) {
			list = append(list, leased{scope: access.Publish, stream: name, owner: h.claims.Owner(), right: h.site})
		}
	}
	for name, viewers := range r.viewers {
		for id, h := range viewers {
			if h.site.due(now) {
				list = append(list, leased{scope: access.Watch, stream: name, session: id, right: h.site})
			}
		}
	}
	return list
}

func (r *siteRight) due(now time.Time) bool {
	past := func(t time.Time) bool { return !t.IsZero() && !now.Before(t) }
	return r != nil && (past(r.until) || past(r.end))
}

// names returns what the site calls the viewers of a stream here.
func (r *rights) names(stream siaran.StreamName) map[siaran.ViewerID]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make(map[siaran.ViewerID]string)
	for id, h := range r.viewers[stream] {
		if h.site == nil || h.site.name == "" {
			continue
		}
		if info, err := r.egress.Session(id); err == nil {
			list[info.Viewer] = h.site.name
		}
	}
	return list
}

// readmitted takes what the site has said again about a session.
func (r *rights) readmitted(l leased, right *siteRight) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if l.scope == access.Publish {
		if h, there := r.broadcasts[l.stream]; there && h.site == l.right {
			h.site = right
			r.broadcasts[l.stream] = h
		}
		return
	}
	if h, there := r.viewers[l.stream][l.session]; there && h.site == l.right {
		h.site = right
		r.viewers[l.stream][l.session] = h
	}
}
