package egress

import (
	"context"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
)

// watchBroadcast waits for the end of a broadcast and ends the sessions of its viewers.
func (s *Server) watchBroadcast(b *siaran.Broadcast) {
	why := siaran.ErrEnded
	select {
	case <-b.Done():
	case <-s.done:
		why = siaran.ErrClosed
	}
	s.mu.Lock()
	list := slices.Collect(maps.Keys(s.audiences[b].sessions))
	delete(s.audiences, b)
	s.mu.Unlock()
	endAll(list, why)
}

// endAll ends sessions in parallel, so that a slow one delays no other, and returns when all have ended.
func endAll(list []*session, why error) {
	var ending errgroup.Group
	ending.SetLimit(maxEndings)
	for _, sess := range list {
		ending.Go(func() error { sess.end(why); return nil })
	}
	_ = ending.Wait()
}

// maxEndings is how many sessions are ended in parallel.
const maxEndings = 64

// expire ends sessions whose viewer has not connected in time. It waits for none of them.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, sess := range s.overdue(now) {
				s.spawn(func() { sess.end(errSetup) })
			}
		}
	}
}

// expiryInterval is the most by which the end of such a session may be late.
const expiryInterval = 500 * time.Millisecond

func (s *Server) overdue(now time.Time) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.recentlyEnded {
		if now.Sub(f.at) > lingerTime {
			delete(s.recentlyEnded, id)
		}
	}
	if s.setups == 0 && s.children == 0 {
		return nil
	}
	var list []*session
	for _, sess := range s.sessions {
		if sess.viewer.Load() == nil && now.After(sess.deadline) {
			list = append(list, sess)
		}
	}
	return list
}
