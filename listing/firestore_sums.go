package listing

import (
	"context"
	"sync"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
)

// sums adds what other nodes count of a stream of ours to what we count ourselves, in memory, and
// writes the stream's document when that has changed, once a second at most.
type sums struct {
	f *Firestore

	mu      sync.Mutex
	streams map[siaran.StreamName]*sum // that this server has on show
	changed chan struct{}
}

type sum struct {
	node      string
	broadcast siaran.BroadcastID
	here      int // viewers of our own, as last told
	elsewhere int // as last written
}

func (s *sums) init(f *Firestore) {
	s.f, s.streams, s.changed = f, make(map[siaran.StreamName]*sum), make(chan struct{}, 1)
}

// follow begins with a broadcast that is shown, and ends with it.
func (s *sums) follow(p post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.streams[p.state.Stream]
	switch {
	case p.role == shown && !p.over:
		s.streams[p.state.Stream] = &sum{node: p.node, broadcast: p.state.ID, here: p.state.Viewers, elsewhere: s.f.mirror.elsewhere(p.state.Stream, p.state.ID, p.node)}
	case old != nil && old.broadcast == p.state.ID:
		delete(s.streams, p.state.Stream)
	}
}

func (s *sums) forget(node string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, sum := range s.streams {
		if sum.node == node {
			delete(s.streams, name)
		}
	}
}

// own is what a stream's document is to say: our viewers and those of others.
func (s *sums) own(state siaran.BroadcastState) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.streams[state.Stream]
	if sum == nil || sum.broadcast != state.ID {
		return state.Viewers
	}
	sum.here = state.Viewers
	sum.elsewhere = s.f.mirror.elsewhere(state.Stream, state.ID, sum.node)
	return sum.here + sum.elsewhere
}

// poke says that others may count differently.
func (s *sums) poke() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

func (s *sums) run() {
	ended := s.f.ended.Done()
	for {
		select {
		case <-ended:
			return
		case <-s.changed:
		}
		for name, sum := range s.due() {
			if err := s.write(name, sum); err != nil {
				s.f.log.Debug("viewers on other servers are not added up yet", "stream", name, "error", err)
				s.poke()
			}
		}
		select {
		case <-ended:
			return
		case <-time.After(countPause):
		}
	}
}

// due are the streams for which others count another number than is written.
func (s *sums) due() map[siaran.StreamName]sum {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make(map[siaran.StreamName]sum)
	for name, sum := range s.streams {
		if n := s.f.mirror.elsewhere(name, sum.broadcast, sum.node); n != sum.elsewhere {
			sum.elsewhere = n
			list[name] = *sum
		}
	}
	return list
}

func (s *sums) write(name siaran.StreamName, sum sum) error {
	f := s.f
	return f.do(f.ended, "add up viewers", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		p, ok := f.posted(sum.broadcast, sum.node)
		if !ok || p.over || p.role != shown {
			return nil
		}
		result, err := f.stream(name).Update(ctx, fields{"viewers": sum.here + sum.elsewhere, "updatedAt": f.clock.now()}.updates(), firestore.LastUpdateTime(p.updated))
		if code := status.Code(err); code == codes.FailedPrecondition || code == codes.NotFound {
			p.updated = time.Time{}
			a := applicant{f: f, ctx: ctx, node: p.node, at: f.clock.now()}
			_, err = a.write(p.state)
			return err
		}
		if err != nil {
			s.undo(name)
			return err
		}
		f.stats.writes.Add(1)
		p.updated = result.UpdateTime
		f.post(p)
		f.mirror.wrote(name, result.UpdateTime)
		return nil
	})
}

// undo has a stream be due again.
func (s *sums) undo(name siaran.StreamName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sum := s.streams[name]; sum != nil {
		sum.elsewhere = -1
	}
}
