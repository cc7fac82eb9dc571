package web

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"siaran"
	"siaran/internal/netaddr"
	"siaran/listing"
	"siaran/web/access"
)

const (
	privateEvery = time.Second // how often private streams with followers are looked up
	watchAgain   = time.Second // after the listing has failed
)

// liveFeed is what is live, ready to be sent: one watch of the listing serves all followers. A follower keeps only the
// names of the streams that have changed, so that a slow one costs little and gets the newest state when it is ready.
type liveFeed struct {
	listing *listing.Cached
	log     *slog.Logger
	max     int           // followers
	share   netaddr.Share // of max that one source may have

	joinTime time.Duration // for each of many viewers that come together

	mu        sync.Mutex
	ready     bool          // the first snapshot has come
	over      bool          // it tells nothing any more
	back      time.Duration // within which followers should come back then
	streams   map[siaran.StreamName]rendered
	followers map[*follower]struct{}
	from      netaddr.Tally
	wake      chan struct{} // holds one element: look up private streams now
}

// rendered is a stream as JSON.
type rendered struct {
	body    []byte
	started time.Time
	status  siaran.Status
}

// follower is one client of the liveFeed. Its fields but wake are guarded by liveFeed.mu.
type follower struct {
	from    netip.Addr        // not valid: without a limit by source
	only    siaran.StreamName // empty: all that is public
	private bool              // only is private, and the follower may see it
	claims  access.Claims     // that allow it
	until   time.Time         // how long, if the site has let it in; zero: for good
	seen    bool              // the private stream has been looked up
	shown   rendered          // how it was then
	changed map[siaran.StreamName]struct{}
	fresh   bool          // everything has to be sent, as a snapshot
	within  time.Duration // how soon it should come to the stream that has gone live; zero: it has not
	ended   bool          // there will be nothing more to send
	wake    chan struct{} // holds one element: there is something to take
}

// delivery is what a follower has not yet been sent.
type delivery struct {
	snapshot bool // streams is everything
	streams  [][]byte
	gone     []siaran.StreamName
	within   time.Duration // as in follower
	ended    bool
	leaving  bool          // it has ended because the server ends,
	back     time.Duration // and within this time the follower should come back
}

func newLiveFeed(
	l *listing.Cached, log *slog.Logger, most int, share netaddr.Share, joinTime time.Duration,
) *liveFeed {
	return &liveFeed{
		listing: l, log: log, max: most, share: share, joinTime: joinTime, streams: make(map[siaran.StreamName]rendered),
		followers: make(map[*follower]struct{}), from: make(netaddr.Tally), wake: make(chan struct{}, 1),
	}
}

// run follows the listing until ctx ends, and then sends all followers away.
func (l *liveFeed) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { l.lookAtPrivate(ctx) })
	for ctx.Err() == nil {
		err := l.listing.Watch(ctx, l.reset, l.change)
		if ctx.Err() != nil {
			break
		}
		l.log.Warn("cannot follow changes of the listing; will retry", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
	wg.Wait()
	l.leave(0)
	return nil
}

// follow adds a follower. It fails with ErrTooManySessions, ErrShare, or ErrClosed when the server is ending.
func (l *liveFeed) follow(f *follower) error {
	f.wake = make(chan struct{}, 1)
	f.changed = make(map[siaran.StreamName]struct{})
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return siaran.ErrClosed
	}
	if len(l.followers) >= l.max {
		return siaran.ErrTooManySessions
	}
	if l.from.Over(f.from, l.share, l.max) {
		return siaran.ErrShare
	}
	l.from.Add(f.from)
	f.fresh = !f.private // a private stream must be looked at first
	l.followers[f] = struct{}{}
	if f.private {
		l.lookNow()
	}
	if l.ready {
		f.poke()
	}
	return nil
}

func (l *liveFeed) unfollow(f *follower) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.followers, f)
	l.from.Remove(f.from)
}

// take returns what is new for f.
func (l *liveFeed) take(f *follower) delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	d := delivery{ended: f.ended, leaving: l.over, back: l.back, within: f.within}
	if d.ended {
		return d
	}
	switch {
	case f.fresh && f.private:
		d.snapshot = true
		if f.shown.body != nil {
			d.streams = [][]byte{f.shown.body}
		}
	case f.fresh && l.ready:
		d.snapshot = true
		d.streams = l.all(f.only)
	case f.fresh:
		return delivery{}
	default:
		for name := range f.changed {
			p, live := l.streams[name]
			if f.private {
				p, live = f.shown, f.shown.body != nil
			}
			if live {
				d.streams = append(d.streams, p.body)
			} else {
				d.gone = append(d.gone, name)
			}
		}
	}
	f.fresh, f.within = false, 0
	clear(f.changed)
	return d
}

// all returns the streams in the order of the list: the newest first.
func (l *liveFeed) all(only siaran.StreamName) [][]byte {
	var list []rendered
	for name, p := range l.streams {
		if only == "" || only == name {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y rendered) int {
		return cmp.Or(y.started.Compare(x.started), slices.Compare(x.body, y.body))
	})
	bodies := make([][]byte, len(list))
	for i, p := range list {
		bodies[i] = p.body
	}
	return bodies
}

// reset replaces everything that is live.
func (l *liveFeed) reset(streams []siaran.Stream) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = true
	before := l.streams
	l.streams = make(map[siaran.StreamName]rendered)
	for _, s := range streams {
		l.streams[s.Name] = render(s)
		if _, was := before[s.Name]; !was {
			l.call(s.Name)
		}
	}
	for f := range l.followers {
		if !f.private {
			f.fresh = true
			f.poke()
		}
	}
}

// change takes one event of the listing.
func (l *liveFeed) change(e siaran.StreamEvent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e.Gone {
		delete(l.streams, e.Stream.Name)
	} else {
		before, was := l.streams[e.Stream.Name]
		l.streams[e.Stream.Name] = render(e.Stream)
		if !was || before.status == siaran.StatusInterrupted && e.Stream.Status == siaran.StatusLive {
			l.call(e.Stream.Name)
		}
	}
	for f := range l.followers {
		if !f.private && (f.only == "" || f.only == e.Stream.Name) {
			f.changed[e.Stream.Name] = struct{}{}
			f.poke()
		}
	}
}

const longestCome = 20 * time.Second // for all who come together, however many there are

// call tells the followers of a stream that has gone live, or goes on, to come one after the other, if they are not
// there. The caller holds l.mu.
func (l *liveFeed) call(name siaran.StreamName) {
	waiting := 0
	for f := range l.followers {
		if f.only == name {
			waiting++
		}
	}
	for f := range l.followers {
		if f.only == name {
			f.within = min(time.Duration(waiting)*l.joinTime, longestCome)
		}
	}
}

func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func render(s siaran.Stream) rendered {
	body, _ := json.Marshal(viewOf(s)) // it can always be marshalled
	return rendered{body: body, started: s.StartedAt, status: s.Status}
}
