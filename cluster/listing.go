package cluster

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"siaran"
)

// Listing is the listing of an edge: its own, and for names that are not in it what the parent says. What the parent
// has cannot be changed here.
type Listing struct {
	siaran.Listing // the own one
	hub            *siaran.Hub
	directory      *Directory
}

// NewListing adds what a directory says to a listing. Closing it closes that listing.
func NewListing(own siaran.Listing, hub *siaran.Hub, d *Directory) *Listing {
	return &Listing{Listing: own, hub: hub, directory: d}
}

// Stream implements siaran.Listing. While the parent does not answer, or says nothing about it, a stream that is pulled
// is as it was last said to be, but for its status.
func (l *Listing) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	own, err := l.Listing.Stream(ctx, name)
	if !errors.Is(err, siaran.ErrUnknownStream) {
		return own, err
	}
	above, aboveErr := l.directory.Stream(ctx, name)
	state, here := l.pulled(name)
	if !here {
		switch {
		case errors.Is(aboveErr, siaran.ErrUnknownStream):
			return own, err
		case aboveErr != nil:
			return siaran.Stream{}, unanswered(aboveErr)
		}
		return above, nil
	}
	// What is here has been private, perhaps, and must not become a stream that nobody knows, which is a public one.
	if aboveErr != nil {
		var known bool
		if above, known = l.directory.Last(name); !known {
			return siaran.Stream{}, siaran.ErrParent
		}
	}
	if aboveErr != nil || above.Status == siaran.StatusOffline {
		above.Status, above.StartedAt, above.Viewers = state.Status, state.StartedAt, state.Viewers
	}
	return above, nil
}

// Unheard implements listing.Remote.
func (l *Listing) Unheard(name siaran.StreamName) bool { return l.directory.unheard(name) }

// pulled returns the state of a stream that comes from the parent, if it does.
func (l *Listing) pulled(name siaran.StreamName) (state siaran.BroadcastState, here bool) {
	b, err := l.hub.Broadcast(name)
	if err != nil {
		return state, false
	}
	state = b.State()
	return state, state.Pulled
}

// Streams implements siaran.Listing. What is live at the parent comes with what is live here.
func (l *Listing) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	list, err := l.Listing.Streams(ctx, q)
	if err != nil || q.Owner != "" {
		return list, err
	}
	own := make(map[siaran.StreamName]bool, len(list))
	for _, s := range list {
		own[s.Name] = true
	}
	for _, s := range l.directory.Live() {
		if !own[s.Name] {
			list = append(list, s)
		}
	}
	slices.SortStableFunc(list, func(a, b siaran.Stream) int {
		live := func(s siaran.Stream) int {
			if s.Status == siaran.StatusOffline {
				return 1
			}
			return 0
		}
		if live(a) != live(b) || live(a) == 1 {
			return cmp.Or(live(a)-live(b), strings.Compare(string(a.Name), string(b.Name)))
		}
		return b.StartedAt.Compare(a.StartedAt)
	})
	limit := q.Limit
	if limit <= 0 {
		limit = 100
	}
	return list[:min(len(list), limit, 1000)], nil
}

// Watch implements siaran.Listing.
func (l *Listing) Watch(
	ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	changed, done := l.directory.follow()
	defer done()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var mu sync.Mutex
	var own map[siaran.StreamName]siaran.Stream // nil until the first snapshot
	edit := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	ended := make(chan error, 1)
	go func() {
		ended <- l.Listing.Watch(ctx, func(list []siaran.Stream) {
			edit(func() {
				own = make(map[siaran.StreamName]siaran.Stream, len(list))
				for _, s := range list {
					own[s.Name] = s
				}
			})
		}, func(e siaran.StreamEvent) {
			edit(func() {
				if e.Gone {
					delete(own, e.Stream.Name)
				} else {
					own[e.Stream.Name] = e.Stream
				}
			})
		})
	}()
	var told map[siaran.StreamName]siaran.Stream // nil: nothing yet
	for {
		select {
		case err := <-ended:
			return err
		case <-changed:
		}
		mu.Lock()
		now := merged(own, l.directory.Live())
		mu.Unlock()
		switch {
		case now == nil:
		case told == nil:
			list := make([]siaran.Stream, 0, len(now))
			for _, s := range now {
				list = append(list, s)
			}
			snapshot(list)
			told = now
		default:
			tellDifferences(told, now, event)
			told = now
		}
	}
}

// merged returns what is live here and above; nil if it is not known yet what is live here.
func merged(own map[siaran.StreamName]siaran.Stream, above []siaran.Stream) map[siaran.StreamName]siaran.Stream {
	if own == nil {
		return nil
	}
	all := make(map[siaran.StreamName]siaran.Stream, len(own)+len(above))
	for _, s := range above {
		all[s.Name] = s
	}
	for name, s := range own {
		all[name] = s
	}
	return all
}

func tellDifferences(told, now map[siaran.StreamName]siaran.Stream, event func(siaran.StreamEvent)) {
	for name, s := range now {
		if before, was := told[name]; !was || !before.Equal(s) {
			event(siaran.StreamEvent{Stream: s})
		}
	}
	for name := range told {
		if _, still := now[name]; !still {
			event(siaran.StreamEvent{Gone: true, Stream: siaran.Stream{
				Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline,
			}})
		}
	}
}

// Edit implements siaran.Listing. It fails with ErrAbove for what is the parent's, as the others below do.
func (l *Listing) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (siaran.Stream, error) {
	if err := l.mine(ctx, name); err != nil {
		return siaran.Stream{}, err
	}
	return l.Listing.Edit(ctx, name, edit)
}

// RotateKeys implements siaran.Listing.
func (l *Listing) RotateKeys(ctx context.Context, name siaran.StreamName) (int, error) {
	if err := l.mine(ctx, name); err != nil {
		return 0, err
	}
	return l.Listing.RotateKeys(ctx, name)
}

// Claim implements siaran.Listing.
func (l *Listing) Claim(ctx context.Context, name siaran.StreamName, node, owner string, most int) error {
	if err := l.mine(ctx, name); err != nil {
		return err
	}
	return l.Listing.Claim(ctx, name, node, owner, most)
}

// mine returns nil if a name is this server's to use: it has it already, or the parent does not know it.
func (l *Listing) mine(ctx context.Context, name siaran.StreamName) error {
	if _, err := l.Listing.Stream(ctx, name); !errors.Is(err, siaran.ErrUnknownStream) {
		return err
	}
	switch _, err := l.directory.Stream(ctx, name); {
	case err == nil, errors.Is(err, ErrHidden): // it is private there, and would be public here
		return siaran.ErrAbove
	case errors.Is(err, siaran.ErrUnknownStream):
		return nil
	default:
		return unanswered(err)
	}
}

// unanswered is the error for a question to the parent that has failed with err. The log says why.
func unanswered(err error) error {
	for _, told := range []error{siaran.ErrLoop, siaran.ErrTooFar} {
		if errors.Is(err, told) {
			return told
		}
	}
	return siaran.ErrParent
}
