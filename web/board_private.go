package web

import (
	"bytes"
	"context"
	"errors"
	"time"

	"siaran"
	"siaran/web/access"
)

// lookAtPrivate asks the listing, which does not tell of private streams by itself, once for
// all who follow the same one.
func (b *board) lookAtPrivate(ctx context.Context) {
	tick := time.NewTicker(privateEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-b.wake:
		}
		for _, name := range b.privateNames() {
			stream, err := b.look(ctx, name)
			switch {
			case ctx.Err() != nil:
				return
			case err == nil:
				b.showPrivate(stream, true)
			case errors.Is(err, siaran.ErrUnknownStream):
				b.showPrivate(siaran.Stream{Name: name, Status: siaran.StatusOffline}, false)
			}
		}
	}
}

func (b *board) look(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	if l, ok := b.listing.(recaller); ok {
		if stream, there, ok := l.Recall(name); ok && there {
			return stream, nil
		}
	}
	return b.listing.Stream(ctx, name)
}

// lookNow has a new follower wait no longer than needed.
func (b *board) lookNow() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

func (b *board) privateNames() []siaran.StreamName {
	b.mu.Lock()
	defer b.mu.Unlock()
	names := make(map[siaran.StreamName]struct{})
	var list []siaran.StreamName
	for f := range b.followers {
		if _, seen := names[f.only]; f.private && !seen {
			names[f.only] = struct{}{}
			list = append(list, f.only)
		}
	}
	return list
}

func (b *board) showPrivate(stream siaran.Stream, there bool) {
	var now posted
	if stream.Status != siaran.StatusOffline {
		now = post(stream)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for f := range b.followers {
		if !f.private || f.only != stream.Name {
			continue
		}
		if f.claims.Check(access.Watch, target(stream, there)) != nil {
			f.ended = true // its token has been revoked, or the stream is another's now
			f.poke()
			continue
		}
		first := !f.seen
		if !first && bytes.Equal(f.shown.body, now.body) {
			continue
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
