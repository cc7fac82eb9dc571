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
	ctx     context.Context
	cancel  context.CancelFunc // ends it; the broadcast stays as it is
	way     siaran.Way         // of the media up to the parent; guarded by Cluster.mu
	toward  string             // the server that is being asked; guarded by Cluster.mu

	forChild bool // another server was the first who asked

	// Owned by run.
	idle     time.Time          // since when nobody has been watching; zero: somebody is
	counted  siaran.BroadcastID // whose joins the parent has been told
	reported int                // how many
	began    string             // the server that had the broadcaster when it was last asked for
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
	p.log.Info("pulling from the parent", "way", s.session.Way, "parent", s.from.node)
	close(p.settled)
	p.last(ctx, s)
}

// last keeps the stream here for as long as it is wanted. s is nil if its media has ended before.
func (p *pull) last(ctx context.Context, s *running) {
	for s == nil || !p.serve(ctx, s) {
		if s = p.again(ctx); s == nil {
			return
		}
	}
}

// serve watches over a pull that has media. It returns when that has ended, and whether it is over for good.
func (p *pull) serve(ctx context.Context, s *running) (over bool) {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	var told time.Time
	for {
		select {
		case <-s.Done():
			p.end(s)
			if err := s.Err(); errors.Is(err, siaran.ErrEnded) || errors.Is(err, siaran.ErrTakenOver) {
				p.log.Info("the broadcast has ended here", "reason", err)
				return true
			}
			p.log.Info("the parent's media has ended", "reason", s.Err())
			p.cluster.cfg.Above.failed(s.from)
			return false
		case <-ctx.Done():
			s.Close()
			p.end(s)
			return true
		case now := <-look.C:
			if p.unwanted(now) {
				p.leave()
				s.Close()
				p.end(s)
				return true
			}
			if s.from.origin && p.moved() {
				p.log.Info("the broadcaster has come to another server")
				s.Close()
				p.end(s)
				return false
			}
			if p.stopped(ctx, s) {
				p.log.Info("the broadcast has ended at the parent")
				s.Close()
				p.end(s)
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
	above, err := p.cluster.cfg.Above.Stream(ctx, p.name)
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
		p.wait(ctx, b, pause/2+rand.N(pause))
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
			p.log.Info("pulling again", "way", s.session.Way, "parent", s.from.node)
			return s
		case errors.Is(err, siaran.ErrParent):
			died = true
		case errors.Is(err, siaran.ErrNotLive):
			if died || p.cluster.cfg.Above.brokeSince(before) {
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

// wait waits before the parent is asked again, but no longer than until the broadcaster has come to another server.
func (p *pull) wait(ctx context.Context, b *siaran.Broadcast, pause time.Duration) {
	over := time.NewTimer(pause)
	defer over.Stop()
	look := time.NewTicker(moveLook)
	defer look.Stop()
	for {
		select {
		case <-over.C:
			return
		case <-b.Done():
			return
		case <-ctx.Done():
			return
		case <-look.C:
			if p.moved() {
				return
			}
		}
	}
}

// moved reports whether the broadcaster has come to another server since the stream was last asked for.
func (p *pull) moved() bool {
	now, listed := p.cluster.cfg.Above.whereabouts(p.name)
	return listed && now.Stream.Status == siaran.StatusLive && now.Stream.Node != p.began
}

func isDone(b *siaran.Broadcast) bool {
	select {
	case <-b.Done():
		return true
	default:
		return false
	}
}
