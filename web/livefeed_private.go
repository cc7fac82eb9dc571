package web

import (
	"bytes"
	"context"
	"errors"

	"siaran"
	"siaran/web/access"
)

// lookAtPrivate looks up the private streams that have followers, because the watch of the listing does not include
// them: once for all followers of a stream.
func (l *liveFeed) lookAtPrivate(ctx context.Context) {
	every(ctx, privateEvery, l.wake, func() {
		for _, name := range l.privateNames() {
			stream, err := l.look(ctx, name)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				l.showPrivate(stream, true)
			case errors.Is(err, siaran.ErrUnknownStream):
				l.showPrivate(unknown(name, stream.KeyGeneration), false)
			}
		}
	})
}

func (l *liveFeed) look(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	if stream, found, ok := l.listing.Recent(name); ok && found {
		return stream, nil
	}
	return l.listing.Stream(ctx, name)
}

// lookNow looks up private streams at once, for a new follower.
func (l *liveFeed) lookNow() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *liveFeed) privateNames() []siaran.StreamName {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make(map[siaran.StreamName]struct{})
	var list []siaran.StreamName
	for f := range l.followers {
		if _, seen := names[f.only]; f.private && !seen {
			names[f.only] = struct{}{}
			list = append(list, f.only)
		}
	}
	return list
}

func (l *liveFeed) showPrivate(stream siaran.Stream, there bool) {
	var now rendered
	if stream.Status != siaran.StatusOffline {
		now = render(stream)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	called := false
	for f := range l.followers {
		if !f.private || f.only != stream.Name {
			continue
		}
		if f.claims.Check(access.Watch, target(stream, there)) != nil {
			f.ended = true // its token has been revoked, or the stream has another owner
			f.poke()
			continue
		}
		first := !f.seen
		if !first && bytes.Equal(f.shown.body, now.body) {
			continue
		}
		if !first && f.shown.body == nil && !called {
			l.call(stream.Name)
			called = true
		}
		f.seen, f.shown = true, now
		if first {
			f.fresh = true
		} else {
			f.changed[stream.Name] = struct{}{}
		}
		f.poke()
	}
}
