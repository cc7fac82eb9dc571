package web

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

const lookupTime = time.Second

// lookup asks the listing for a stream. One that it does not know is a public stream, whose keys are the first or,
// after a stream that was deleted, those that come next.
func (s *Server) lookup(ctx context.Context, name siaran.StreamName) (stream siaran.Stream, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	stream, err = s.listing.Stream(ctx, name)
	return looked(name, stream, err)
}

// looked turns the answer of the listing into that of lookup.
func looked(name siaran.StreamName, stream siaran.Stream, err error) (siaran.Stream, bool, error) {
	switch {
	case err == nil:
		return stream, true, nil
	case errors.Is(err, siaran.ErrUnknownStream):
		return unknown(name, stream.KeyGeneration), false, nil
	}
	var f *failure
	if !errors.As(err, &f) { // otherwise it is the caller's limit
		err = listingFailed(err)
	}
	return stream, false, err
}

func unknown(name siaran.StreamName, generation int) siaran.Stream {
	return siaran.Stream{
		Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline, KeyGeneration: generation,
	}
}

// lookupFor looks up the stream of a wish. To watch, a recent answer is enough. Otherwise the listing is asked each
// time, and an account pays for that from its own budget unless media waits for it. Media goes on without the listing.
func (s *Server) lookupFor(ctx context.Context, c echo.Context, w wish, claims access.Claims, valid bool) (
	stream siaran.Stream, found bool, err error,
) {
	switch {
	case w.scope == access.Watch:
		stream, found, err = s.lookupToWatch(ctx, c, w.stream, claims, valid)
	case w.media:
		stream, found, err = s.lookup(ctx, w.stream)
	default:
		if err := s.budget.spend(claims, 1); err != nil {
			return siaran.Stream{}, false, err
		}
		stream, found, err = s.lookup(ctx, w.stream)
	}
	if err != nil && w.media {
		if last, ok := s.listing.LastSeen(w.stream); ok {
			return last, true, nil
		}
	}
	return stream, found, err
}

// onlyWatch are the scopes of links that may go to thousands of people, each of whom asks again until the stream is
// live.
var onlyWatch = []access.Scope{access.Watch}

// lookupToWatch answers callers without a key for the stream from the cache. They are rate limited when the database
// has to be read. So are links to watch, as long as the cached answer lets them in.
func (s *Server) lookupToWatch(
	ctx context.Context, c echo.Context, name siaran.StreamName, claims access.Claims, valid bool,
) (siaran.Stream, bool, error) {
	if _, err := s.cfg.Hub.Broadcast(name); err == nil { // viewers of what is live here are never refused
		return s.lookup(ctx, name)
	}
	if key := valid && claims.Account == "" && claims.Concern(name); key {
		if slices.Equal(claims.Scopes, onlyWatch) {
			stream, found, ok := s.recent(name)
			if ok && claims.Check(access.Watch, target(stream, found)) == nil {
				return stream, found, nil
			}
		}
		return s.lookup(ctx, name)
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	stream, err := s.listing.Read(ctx, name, func() error { return s.budget.stranger(c) })
	return looked(name, stream, err)
}

// recent is lookup from the cache alone. ok is false when it does not know.
func (s *Server) recent(name siaran.StreamName) (stream siaran.Stream, found, ok bool) {
	stream, found, ok = s.listing.Recent(name)
	if ok && !found {
		stream = unknown(name, stream.KeyGeneration)
	}
	return stream, found, ok
}

// readBudget bounds what is read of the listing for those who may ask as often as they like, where reads cost money.
type readBudget struct {
	metered  bool
	source   *sourceLimiter
	all      *limiter
	accounts *limiter
}

func newReadBudget(l Limits, metered bool) *readBudget {
	return &readBudget{
		metered: metered, source: newSourceLimiter(l.Reader), all: newLimiter(l.Readers), accounts: newLimiter(l.Account),
	}
}

// stranger pays for one read for a caller without a key.
func (b *readBudget) stranger(c echo.Context) error {
	if err := b.source.take(c); err != nil {
		return err
	}
	return b.all.take("")
}

// spend pays for n reads for an account: anybody can make one. Other callers hold a key of this server.
func (b *readBudget) spend(claims access.Claims, n int) error {
	if !b.metered || claims.Account == "" || claims.IsAdmin() {
		return nil
	}
	return b.accounts.takeN(claims.Owner(), n)
}
