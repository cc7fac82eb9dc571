package cluster

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"siaran"
)

const (
	firstPause = 250 * time.Millisecond
	lastPause  = 2 * time.Second
	goodbye    = 2 * time.Second // for ending a session at the parent

	lookEvery = 500 * time.Millisecond // at who watches, to tell the parent, and to let go
	tellEvery = 5 * time.Second        // also if nothing has changed
)

// pull is one stream that is pulled, from the first who asks for it to the end. Its goroutine is run's.
type pull struct {
	cluster *Cluster
	name    siaran.StreamName
	log     *slog.Logger

	settled chan struct{} // closed when the first media has come, or nothing will
	err     error         // why not; set before settled is closed
	going   atomic.Bool   // it is being let go
	gone    chan struct{} // closed when nothing is left
	way     siaran.Way    // of the media up to the parent; guarded by Cluster.mu

	// Owned by run.
	idle     time.Time          // since when nobody has been watching; zero: somebody is
	counted  siaran.BroadcastID // whose joins the parent has been told
	reported int                // how many
}

// leaving reports whether the stream is being let go.
func (p *pull) leaving() bool { return p.going.Load() }

// run pulls until the broadcast is over here, nobody wants it, or ctx ends.
func (p *pull) run(ctx context.Context) {
	defer close(p.gone)
	defer p.cluster.forget(p)
	defer p.going.Store(true)
	s, err := p.attempt(ctx)
	if err != nil {
		p.err = err
		close(p.settled)
		return
	}
	p.log.Info("pulling from the parent", "way", s.session.Way)
	close(p.settled)
	for s != nil {
		if p.serve(ctx, s) {
			return
		}
		s = p.again(ctx)
	}
}

// running is a pull that has media, with its session at the parent.
type running struct {
	Pull
	session   Session
	broadcast *siaran.Broadcast
	base      int // how many had joined when it began, of the same broadcast
	viewers   int // that the parent was last told of
}

// attempt asks the parent once. Its errors are those of Ensure.
func (p *pull) attempt(ctx context.Context) (*running, error) {
	c := p.cluster
	asking, cancel := context.WithTimeout(ctx, attemptTime)
	defer cancel()
	var session Session
	var refused error
	layers := p.layers(asking)
	pulled, err := c.cfg.Puller.Pull(asking, p.name, layers, func(ctx context.Context, offer []byte) (Session, error) {
		session, refused = c.parent.Open(ctx, p.name, offer)
		if refused == nil {
			refused = session.Way.Check(c.cfg.Node)
		}
		return session, refused
	})
	if refused != nil {
		err = refused
	}
	if err != nil {
		p.end(session)
		if ctx.Err() != nil {
			return nil, siaran.ErrClosed
		}
		c.trouble.of("pulling", err)
		return nil, outcome(err)
	}
	c.trouble.of("pulling", nil)
	c.mu.Lock()
	p.way = session.Way
	c.mu.Unlock()
	b, err := c.cfg.Hub.Broadcast(p.name)
	if err != nil { // it has ended in this moment
		pulled.Close()
		p.end(session)
		return nil, siaran.ErrNotLive
	}
	s := &running{Pull: pulled, session: session, broadcast: b}
	if p.counted == b.ID() {
		s.base = p.reported
	}
	return s, nil
}

// layers are those that the parent has: as it says, or, if it cannot be asked now, those that are here. Without them,
// one is pulled, as from servers of others.
func (p *pull) layers(ctx context.Context) (rids []string) {
	above, err := p.cluster.cfg.Directory.Stream(ctx, p.name)
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

// end ends a session at the parent, if there is one. Nobody waits for longer than goodbye.
func (p *pull) end(s Session) {
	if s.URL == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.cluster.ctx), goodbye)
	defer cancel()
	p.cluster.parent.Close(ctx, s)
}

// serve watches over a pull that has media. It returns when that has ended, and whether it is over for good.
func (p *pull) serve(ctx context.Context, s *running) (over bool) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var told time.Time
	for {
		select {
		case <-s.Done():
			p.end(s.session)
			if err := s.Err(); errors.Is(err, siaran.ErrEnded) || errors.Is(err, siaran.ErrTakenOver) {
				p.log.Info("the broadcast has ended here", "why", err)
				return true
			}
			p.log.Info("the parent's media has ended", "why", s.Err())
			return false
		case <-ctx.Done():
			s.Close()
			p.end(s.session)
			return true
		case now := <-look.C:
			if p.unwanted(now) {
				p.leave()
				s.Close()
				p.end(s.session)
				return true
			}
			if p.stopped(ctx, s) {
				p.log.Info("the broadcast has ended at the parent")
				s.Close()
				p.end(s.session)
				return false
			}
			told = p.tell(s, told, now)
		}
	}
}

// stopped reports whether the parent says of a stream that sends nothing that it is not live. The session there may go
// on, as viewers do who stay for the next broadcast.
func (p *pull) stopped(ctx context.Context, s *running) bool {
	if s.broadcast.State().Status != siaran.StatusInterrupted {
		return false
	}
	above, err := p.cluster.cfg.Directory.Stream(ctx, p.name)
	return errors.Is(err, siaran.ErrUnknownStream) || err == nil && above.Status == siaran.StatusOffline
}

// unwanted reports whether nobody has watched for long enough.
func (p *pull) unwanted(now time.Time) bool {
	if p.cluster.cfg.Sessions(p.name) > 0 {
		p.idle = time.Time{}
		return false
	}
	if p.idle.IsZero() {
		p.idle = now
	}
	return now.Sub(p.idle) >= Linger
}

// leave ends the broadcast. Later viewers wait until the stream is gone, and then it is pulled again.
func (p *pull) leave() {
	p.going.Store(true)
	_ = p.cluster.cfg.Hub.EndOf(p.name, Owner, siaran.EndStopped) // fails if it has ended already
	p.log.Info("nobody watches any more: no longer pulled")
}

// tell tells the parent who watches, if that has changed or it was told long ago. It returns when it was last told.
func (p *pull) tell(s *running, told, now time.Time) time.Time {
	state := s.broadcast.State()
	if state.ID != p.counted {
		p.counted, p.reported, s.base = state.ID, -1, 0
	}
	if state.TotalViewers == p.reported && now.Sub(told) < tellEvery && state.Viewers == s.viewers {
		return told
	}
	s.viewers = state.Viewers
	p.reported = state.TotalViewers
	s.Audience(state.Viewers, uint64(max(state.TotalViewers-s.base, 0)))
	return now
}

// again asks the parent until there is media, or the broadcast is over here. Then it returns nil.
func (p *pull) again(ctx context.Context) *running {
	b, err := p.cluster.cfg.Hub.Broadcast(p.name)
	if err != nil {
		return nil
	}
	// If the parent has died, it does not know yet what its broadcasters will send it again.
	before := time.Now().Add(-doubtTime)
	died := false
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		wait := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-wait.C:
		case <-b.Done():
		case <-ctx.Done():
		}
		wait.Stop()
		if ctx.Err() != nil || isDone(b) {
			return nil
		}
		if p.unwanted(time.Now()) {
			p.leave()
			return nil
		}
		s, err := p.attempt(ctx)
		switch {
		case err == nil:
			p.log.Info("pulling again", "way", s.session.Way)
			return s
		case errors.Is(err, siaran.ErrParent):
			died = true
		case errors.Is(err, siaran.ErrNotLive):
			if died || p.cluster.cfg.Directory.brokeSince(before) {
				continue
			}
			// Its viewers may stay for the next broadcast, which is then looked for.
			_ = p.cluster.cfg.Hub.StopOf(p.name, Owner)
		case errors.Is(err, siaran.ErrStreamTaken), errors.Is(err, siaran.ErrLoop), errors.Is(err, siaran.ErrTooFar):
			_ = p.cluster.cfg.Hub.EndOf(p.name, Owner, siaran.EndStopped)
			return nil
		}
	}
}

func isDone(b *siaran.Broadcast) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}
