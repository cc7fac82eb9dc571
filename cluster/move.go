package cluster

import (
	"context"
	"time"

	"siaran"
)

// How often memory is looked at for where a broadcast is.
const (
	moveLook  = 100 * time.Millisecond // by those who wait for it
	yieldLook = 250 * time.Millisecond // by those who have it
)

// LetGo ends the pull of a stream whose broadcaster comes to this server. The broadcast waits for the broadcaster, and
// nobody pulls it again for a moment.
func (c *Cluster) LetGo(name siaran.StreamName) {
	c.mu.Lock()
	p := c.pulls[name]
	if p != nil {
		p.log.Info("no longer pulled: its broadcaster has come to this server")
		p.cancel()
	}
	c.mu.Unlock()
	if p == nil {
		return
	}
	<-p.gone
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refuse(name, siaran.ErrParent)
}

// yield looks after broadcasts of this server that go on at another one: their sessions here end, and for viewers who
// are here they are pulled from there.
func (c *Cluster) yield(ctx context.Context) {
	look := time.NewTicker(yieldLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		for _, state := range c.cfg.Hub.States() {
			if c.movedAway(state) && c.cfg.Hub.Yield(state.Stream, state.ID, Owner) {
				c.follow(state.Stream)
			}
		}
	}
}

// movedAway reports whether a broadcast of this server is listed as one that goes on elsewhere. Of two servers that it
// has moved to at once, that one has it which is listed.
func (c *Cluster) movedAway(state siaran.BroadcastState) bool {
	if state.Pulled {
		return false
	}
	w, listed := c.cfg.Above.whereabouts(state.Stream)
	return listed && w.Stream.BroadcastID == state.ID && w.Stream.Node != c.cfg.Node && w.Moves > 0 &&
		w.Moves >= state.Moves
}

// follow pulls a stream that has moved away, if it is watched here. Otherwise its broadcast here ends.
func (c *Cluster) follow(name siaran.StreamName) {
	log := c.cfg.Logger.With("stream", name)
	if c.cfg.Sessions(name) == 0 {
		log.Info("the broadcaster has moved to another server")
		_ = c.cfg.Hub.EndOf(name, Owner, siaran.EndReplaced) // fails if it has ended already
		return
	}
	log.Info("the broadcaster has moved to another server: pulling from there")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || c.pulls[name] != nil || len(c.pulls) >= maxPulls {
		return
	}
	p := c.newPull(name)
	close(p.settled)
	c.running.Go(func() {
		defer close(p.gone)
		defer c.forget(p)
		defer p.going.Store(true)
		p.last(p.ctx, nil)
	})
}
