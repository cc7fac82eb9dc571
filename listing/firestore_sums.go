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
	here      int       // viewers of our own, as last told
	elsewhere int       // as last written
	written   time.Time // the stream's document, or about to be
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
	sum.elsewhere, sum.written = s.f.mirror.elsewhere(state.Stream, state.ID, sum.node), time.Now()
	return sum.here + sum.elsewhere
}

// poke says that others may count differently.
func (s *sums) poke() { poke(s.changed) }

func (s *sums) run() {
	ended := s.f.ended.Done()
	for {
		select {
		case <-ended:
			return
		case <-s.changed:
		}
		names, later := s.due()
		for _, name := range names {
			if err := s.write(name); err != nil {
				s.f.log.Debug("viewers on other servers are not added up yet", "stream", name, "error", err)
				later = true
			}
		}
		if later {
			s.poke()
		}
		select {
		case <-ended:
			return
		case <-time.After(countPause):
		}
	}
}

// due are the streams for which others count another number than is written; later, that there are more whose
// documents have just been written, and are not again for a moment.
func (s *sums) due() (names []siaran.StreamName, later bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, sum := range s.streams {
		switch {
		case s.f.mirror.elsewhere(name, sum.broadcast, sum.node) == sum.elsewhere:
		case time.Since(sum.written) < countPause:
			later = true
		default:
			names = append(names, name)
		}
	}
	return names, later
}

// total is what a stream's document is to say now, and by which broadcast; false when it is not ours any more.
func (s *sums) total(name siaran.StreamName) (n int, node string, broadcast siaran.BroadcastID, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.streams[name]
	if sum == nil {
		return 0, "", "", false
	}
	sum.elsewhere, sum.written = s.f.mirror.elsewhere(name, sum.broadcast, sum.node), time.Now()
	return sum.here + sum.elsewhere, sum.node, sum.broadcast, true
}

// write writes the number alone, and only to a document that still shows our broadcast: all else about it the reporter writes,
// perhaps at the same moment.
func (s *sums) write(name siaran.StreamName) error {
	f := s.f
	return f.do(f.ended, "add up viewers", func(ctx context.Context) (err error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		unlock, err := f.lock(ctx, name)
		if err != nil {
			return err
		}
		defer unlock()
		_, node, broadcast, ok := s.total(name)
		if !ok {
			return nil
		}
		p, ok := f.posted(broadcast, node)
		if !ok || p.over || p.role != shown {
			return nil
		}
		defer func() {
			if err != nil {
				s.undo(name)
			}
		}()
		// The reporter tells what it counts before it writes that: what is added up after a look at the document lacks nothing that is in it.
		set := func() fields {
			n, _, now, ok := s.total(name)
			if !ok || now != broadcast {
				return nil
			}
			return fields{"viewers": n, "updatedAt": f.clock.now()}
		}
		m := set()
		if m == nil {
			return nil
		}
		var at time.Time
		result, err := f.stream(name).Update(ctx, m.updates(), firestore.LastUpdateTime(p.updated))
		switch status.Code(err) {
		case codes.OK:
			f.stats.writes.Add(1)
			at = result.UpdateTime
		case codes.FailedPrecondition, codes.NotFound: // someone else has written to it
			at, err = f.transact(ctx, func(tx *transaction) error {
				snap, err := tx.read(f.stream(name))
				if err != nil {
					return err
				}
				was, m := fields(snap.Data()), set()
				if m == nil || was.text("node") != node || was.text("broadcastId") != string(broadcast) {
					return nil
				}
				return tx.update(f.stream(name), m)
			})
			if err != nil || at.IsZero() {
				return err
			}
		default:
			return err
		}
		f.rewritten(p, at)
		f.mirror.wrote(name, at)
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
