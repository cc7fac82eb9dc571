package web

import (
	"cmp"
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"time"

	"siaran"
	"siaran/web/access"
)

const (
	privateEvery = time.Second // how often private streams that someone follows are looked at
	watchAgain   = time.Second // after the listing has failed
	fromOne      = 4           // the part of all followers that one address may have: a quarter
)

// board is what is live, ready to be sent: one watch of the listing for all who follow. A
// follower keeps only the names of what has changed, so a slow one costs little and gets
// the newest state when it is ready.
type board struct {
	listing siaran.Listing
	log     *slog.Logger
	max     int // followers

	mu        sync.Mutex
	ready     bool // the first snapshot has come
	over      bool // run has ended
	streams   map[siaran.StreamName]posted
	followers map[*follower]struct{}
	from      map[string]int // how many followers of an address
	wake      chan struct{}  // private streams are to be looked at now
}

// posted is a stream as JSON.
type posted struct {
	body    []byte
	started time.Time
}

// follower is one client of the board. Its fields but wake are guarded by board.mu.
type follower struct {
	from    string            // its address; empty: not bounded by that
	only    siaran.StreamName // empty: all that is public
	private bool              // only is private, and the follower may see it
	claims  access.Claims     // that let it
	seen    bool              // the private stream has been looked at
	shown   posted            // how it was then
	changed map[siaran.StreamName]struct{}
	fresh   bool          // everything is to be sent, as a snapshot
	ended   bool          // nothing more will come
	wake    chan struct{} // has room for one
}

// delivery is what a follower has not been sent yet.
type delivery struct {
	snapshot bool // streams are all there is
	streams  [][]byte
	gone     []siaran.StreamName
	ended    bool
}

func newBoard(listing siaran.Listing, log *slog.Logger, most int) *board {
	return &board{
		listing: listing, log: log, max: most, streams: make(map[siaran.StreamName]posted),
		followers: make(map[*follower]struct{}), from: make(map[string]int), wake: make(chan struct{}, 1),
	}
}

// run keeps the board until ctx ends; then all followers are told that it is over.
func (b *board) run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { b.lookAtPrivate(ctx) })
	for ctx.Err() == nil {
		err := b.listing.Watch(ctx, b.reset, b.change)
		if ctx.Err() != nil {
			break
		}
		b.log.Warn("the listing's changes cannot be followed; trying again", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(watchAgain):
		}
	}
	wg.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	for f := range b.followers {
		f.ended = true
		f.poke()
	}
	return nil
}

// follow adds a follower; false when there are too many, of all or of its address, or the server is ending.
func (b *board) follow(f *follower) bool {
	f.wake = make(chan struct{}, 1)
	f.changed = make(map[siaran.StreamName]struct{})
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over || len(b.followers) >= b.max || f.from != "" && b.from[f.from] >= max(1, b.max/fromOne) {
		return false
	}
	b.from[f.from]++
	f.fresh = !f.private // a private stream must be looked at first
	b.followers[f] = struct{}{}
	if f.private {
		b.lookNow()
	}
	if b.ready {
		f.poke()
	}
	return true
}

func (b *board) unfollow(f *follower) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.followers, f)
	if b.from[f.from]--; b.from[f.from] == 0 {
		delete(b.from, f.from)
	}
}

// take returns what is new for f.
func (b *board) take(f *follower) delivery {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := delivery{ended: f.ended}
	switch {
	case f.fresh && f.private:
		d.snapshot = true
		if f.shown.body != nil {
			d.streams = [][]byte{f.shown.body}
		}
	case f.fresh && b.ready:
		d.snapshot = true
		d.streams = b.all(f.only)
	case f.fresh:
		return d
	default:
		for name := range f.changed {
			p, live := b.streams[name]
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
	f.fresh = false
	clear(f.changed)
	return d
}

// all are the streams in the order of the list: the newest first.
func (b *board) all(only siaran.StreamName) [][]byte {
	var list []posted
	for name, p := range b.streams {
		if only == "" || only == name {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(x, y posted) int {
		return cmp.Or(y.started.Compare(x.started), slices.Compare(x.body, y.body))
	})
	bodies := make([][]byte, len(list))
	for i, p := range list {
		bodies[i] = p.body
	}
	return bodies
}

// reset takes what is live as a whole.
func (b *board) reset(streams []siaran.Stream) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = true
	clear(b.streams)
	for _, s := range streams {
		b.streams[s.Name] = post(s)
	}
	for f := range b.followers {
		if !f.private {
			f.fresh = true
			f.poke()
		}
	}
}

// change takes one event of the listing.
func (b *board) change(e siaran.StreamEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e.Gone {
		delete(b.streams, e.Stream.Name)
	} else {
		b.streams[e.Stream.Name] = post(e.Stream)
	}
	for f := range b.followers {
		if !f.private && (f.only == "" || f.only == e.Stream.Name) {
			f.changed[e.Stream.Name] = struct{}{}
			f.poke()
		}
	}
}

func (f *follower) poke() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func post(s siaran.Stream) posted {
	body, _ := json.Marshal(viewOf(s)) // nothing in it can fail
	return posted{body: body, started: s.StartedAt}
}
