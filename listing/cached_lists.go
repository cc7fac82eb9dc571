package listing

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"siaran"
	"siaran/listing/internal/live"
)

const (
	listTime = 5 * time.Second // for reading a list

	// A list is good for keepPerStream for each stream in it, within bounds. So reading lists costs about one
	// document every keepPerStream, however often they are asked for.
	keepPerStream = 300 * time.Millisecond
	keepListLeast = 2 * time.Second
	keepLiveList  = 15 * time.Second // at most
	keepAllList   = 5 * time.Minute  // at most
	keepListError = time.Second

	rebuildList = 300 * time.Millisecond // at least, between two lists of everything
	maxChanged  = 100                    // streams that are looked up one by one
)

// List is a list of public streams: live ones first by when they started, newest first, then by name. It never changes.
type List struct{ Streams []siaran.Stream }

// listCache keeps the lists that anyone may ask for.
type listCache struct {
	cached *Cached
	turn   chan struct{} // holds one element while the list of everything is made, which may take its turn for live
	base   listRead      // for whose turn it is

	liveTurn chan struct{}
	live     listRead // for whose turn it is

	mu       sync.Mutex
	all      *List
	allErr   error
	allUntil time.Time
	dirty    map[siaran.StreamName]struct{} // changed since base was read; more than maxChanged are not counted
	begun    uint64                         // reads of the live list
}

// listRead is a list as the database gave it.
type listRead struct {
	streams []siaran.Stream
	err     error
	until   time.Time
	number  uint64 // of the read, for live
}

func (l *listCache) init(c *Cached) {
	l.cached, l.dirty = c, make(map[siaran.StreamName]struct{})
	l.turn, l.liveTurn = make(chan struct{}, 1), make(chan struct{}, 1)
}

// changed is called with the lock of Cached held.
func (l *listCache) changed(name siaran.StreamName) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.dirty) <= maxChanged {
		l.dirty[name] = struct{}{}
	}
}

// LiveList returns the public streams that are live, at most 1000.
func (c *Cached) LiveList(ctx context.Context) (*List, error) {
	streams, err := c.lists.liveStreams(ctx)
	if err != nil {
		return nil, err
	}
	return newList(streams, nil), nil
}

// AllList returns the public streams, live or not, at most 1000. It is rebuilt a few times a second at most. What
// was changed through c is in it then; other streams that are not live may be as they were some minutes ago where
// reads cost money.
func (c *Cached) AllList(ctx context.Context) (*List, error) {
	l := &c.lists
	if list, err, ok := l.kept(); ok {
		return list, err
	}
	leave, err := enter(ctx, l.turn)
	if err != nil {
		return nil, err
	}
	defer leave()
	if list, err, ok := l.kept(); ok { // somebody else has made it meanwhile
		return list, err
	}
	list, err := l.make(ctx)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all, l.allErr, l.allUntil = list, err, time.Now().Add(rebuildList)
	return list, err
}

func (l *listCache) kept() (*List, error, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all, l.allErr, time.Now().Before(l.allUntil)
}

// enter waits for the caller's turn, which ends with leave.
func enter(ctx context.Context, turn chan struct{}) (leave func(), err error) {
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// make makes a list of everything. It goes on when the one who asked has gone: what is read is billed all the same.
func (l *listCache) make(ctx context.Context) (*List, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTime)
	defer cancel()
	changed := l.takeChanged()
	if len(changed) > maxChanged || l.cached.metered == nil {
		l.base.until = time.Time{}
	}
	fresh := l.base.read(keepAllList, func() ([]siaran.Stream, error) {
		return l.cached.Listing.Streams(ctx, siaran.StreamQuery{All: true, Limit: live.MaxLimit})
	})
	if l.base.err != nil {
		return nil, l.base.err
	}
	if l.cached.metered == nil {
		return &List{l.base.streams}, nil
	}
	if !fresh {
		l.lookUp(ctx, changed)
	}
	live, err := l.liveStreams(ctx)
	if err != nil {
		return nil, err
	}
	return newList(live, l.base.streams), nil
}

func (l *listCache) takeChanged() map[siaran.StreamName]struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	changed := l.dirty
	l.dirty = make(map[siaran.StreamName]struct{})
	return changed
}

// lookUp replaces streams in base by what they are now.
func (l *listCache) lookUp(ctx context.Context, names map[siaran.StreamName]struct{}) {
	for name := range names {
		stream, err := l.cached.Stream(ctx, name)
		if err != nil && !errors.Is(err, siaran.ErrUnknownStream) {
			l.changed(name) // next time
			continue
		}
		l.base.streams = slices.DeleteFunc(l.base.streams, func(s siaran.Stream) bool { return s.Name == name })
		if err == nil && stream.Visibility == siaran.VisibilityPublic && len(l.base.streams) < live.MaxLimit {
			l.base.streams = append(l.base.streams, stream)
		}
	}
}

// liveStreams returns what is live, in any order and with private streams in it. One reads it at a time, for all who
// have asked before the read began.
func (l *listCache) liveStreams(ctx context.Context) ([]siaran.Stream, error) {
	m := l.cached.metered
	if m != nil {
		if streams, ok := m.RecallAllLive(); ok {
			return streams, nil
		}
	}
	asked := l.reads(0)
	leave, err := enter(ctx, l.liveTurn)
	if err != nil {
		return nil, err
	}
	defer leave()
	if m == nil && l.live.number <= asked {
		l.live.until = time.Time{}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), listTime)
	defer cancel()
	l.live.read(keepLiveList, func() ([]siaran.Stream, error) {
		l.live.number = l.reads(1)
		// Private ones are billed, too, so they count for how long the list is good.
		return l.cached.Listing.Streams(ctx, siaran.StreamQuery{Private: m != nil, Limit: live.MaxLimit})
	})
	return l.live.streams, l.live.err
}

// reads counts more reads of the live list, and returns how many have begun.
func (l *listCache) reads(more uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.begun += more
	return l.begun
}

// read asks for the list if it is not good any more, and reports whether it did.
func (r *listRead) read(most time.Duration, ask func() ([]siaran.Stream, error)) bool {
	if time.Now().Before(r.until) {
		return false
	}
	r.streams, r.err = ask()
	keep := max(keepListLeast, min(time.Duration(len(r.streams))*keepPerStream, most))
	if r.err != nil {
		keep = keepListError
	}
	r.until = time.Now().Add(keep)
	return true
}

// newList puts the public ones of onAir before known, which says nothing of who is live.
func newList(onAir, known []siaran.Stream) *List {
	streams := make([]siaran.Stream, 0, min(len(onAir)+len(known), live.MaxLimit))
	isLive := make(map[siaran.StreamName]bool, len(onAir))
	for _, s := range onAir {
		if s.Status == siaran.StatusOffline {
			continue // its server has died
		}
		isLive[s.Name] = true
		if s.Visibility == siaran.VisibilityPublic {
			streams = append(streams, s)
		}
	}
	slices.SortFunc(streams, func(a, b siaran.Stream) int {
		if c := b.StartedAt.Compare(a.StartedAt); c != 0 {
			return c
		}
		return strings.Compare(string(a.Name), string(b.Name))
	})
	n := len(streams)
	for _, s := range known {
		if !isLive[s.Name] {
			streams = append(streams, live.Row{Stream: s}.View())
		}
	}
	slices.SortFunc(streams[n:], func(a, b siaran.Stream) int { return strings.Compare(string(a.Name), string(b.Name)) })
	return &List{streams[:min(len(streams), live.MaxLimit)]}
}
