package cluster

import (
	"context"
	"errors"

	"siaran"
)

// running is a pull that has media, with its session at the parent.
type running struct {
	Pull
	session   Session
	from      source
	broadcast *siaran.Broadcast
	base      int // how many had joined when it began, of the same broadcast
	viewers   int // that the parent was last told of
}

// attempt asks for the stream once. Its errors are those of Ensure.
func (p *pull) attempt(ctx context.Context) (*running, error) {
	c := p.cluster
	asking, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	s := &running{}
	var refused error
	at, _ := c.cfg.Above.whereabouts(p.name)
	p.began = at.Stream.Node
	layers := p.layers(asking)
	pulled, err := c.cfg.Puller.Pull(asking, p.name, layers, func(ctx context.Context, offer []byte) (Session, error) {
		s.session, s.from, refused = p.open(ctx, offer)
		return s.session, refused
	})
	if refused != nil {
		err = refused
	}
	if err != nil {
		p.end(s)
		if ctx.Err() != nil {
			return nil, siaran.ErrClosed
		}
		if refused == nil && s.from.Source != nil {
			s.from.trouble.of("pulling", err)
			c.cfg.Above.failed(s.from)
		}
		return nil, outcome(err)
	}
	s.from.trouble.of("pulling", nil)
	c.mu.Lock()
	p.way = s.session.Way
	c.mu.Unlock()
	b, err := c.cfg.Hub.Broadcast(p.name)
	if err != nil { // it has ended in this moment
		pulled.Close()
		p.end(s)
		return nil, siaran.ErrNotLive
	}
	s.Pull, s.broadcast = pulled, b
	if p.counted == b.ID() {
		s.base = p.reported
	}
	return s, nil
}

// open asks one server after the other, until one has the stream. What the origin says counts most.
func (p *pull) open(ctx context.Context, offer []byte) (session Session, from source, err error) {
	c := p.cluster
	sources, err := c.cfg.Above.sources(p.name, p.forChild)
	if err != nil {
		return Session{}, source{}, err
	}
	defer c.ask(p, "")
	err = siaran.ErrParent
	for _, from := range sources {
		c.ask(p, from.node)
		session, failed := from.Open(ctx, p.name, offer)
		if failed == nil {
			if failed = session.Way.Check(c.cfg.Node); failed == nil {
				return session, from, nil
			}
		}
		p.end(&running{session: session, from: from})
		wrong := errors.Is(outcome(failed), siaran.ErrParent)
		if from.origin || wrong { // others may be as ignorant as this one
			from.trouble.of("pulling", failed)
		}
		if wrong && ctx.Err() == nil {
			c.cfg.Above.failed(from)
		}
		if from.origin {
			err = failed
		}
	}
	return Session{}, source{}, err
}

// layers are those that the parent has: as it says, or, if it cannot be asked now, those that are here. Without them,
// one is pulled, as from servers of others.
func (p *pull) layers(ctx context.Context) (rids []string) {
	above, err := p.cluster.cfg.Above.Stream(ctx, p.name)
	if err == nil {
		for _, l := range above.Layers {
			rids = append(rids, l.RID)
		}
		return rids
	}
	b, err := p.cluster.cfg.Hub.Broadcast(p.name)
	if err != nil || b.Video() == nil {
		return nil
	}
	for _, l := range b.Video().Layers {
		rids = append(rids, l.RID())
	}
	return rids
}

// ask notes which server a pull is asking.
func (c *Cluster) ask(p *pull, node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p.toward = node
}

// outcome is what callers of Ensure get for what the parent or the pull has said.
func outcome(err error) error {
	for _, known := range []error{
		siaran.ErrNotLive, siaran.ErrLoop, siaran.ErrTooFar, siaran.ErrTooManySessions, siaran.ErrStreamTaken,
	} {
		if errors.Is(err, known) {
			return known
		}
	}
	if errors.Is(err, siaran.ErrUnknownStream) {
		return siaran.ErrNotLive
	}
	return siaran.ErrParent
}

// end ends a session at the parent, if there is one. Nobody waits for longer than goodbye, and a broadcaster who comes
// here not at all.
func (p *pull) end(s *running) {
	switch {
	case s.session.URL == "":
	case p.ctx.Err() != nil:
		p.cluster.running.Go(func() { p.bye(s) })
	default:
		p.bye(s)
	}
}

func (p *pull) bye(s *running) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.cluster.ctx), goodbye)
	defer cancel()
	s.from.Close(ctx, s.session)
}
