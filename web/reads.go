package web

import (
	"context"
	"slices"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/singleflight"

	"siaran"
	"siaran/web/access"
)

// recaller is a listing in which reading costs its owner.
type recaller interface {
	// Recall is siaran.Listing's Stream as it was a moment ago, for nothing; ok is false when that is not known.
	Recall(name siaran.StreamName) (stream siaran.Stream, there, ok bool)
}

// reads bounds what is read of the listing for those who may ask as often as they like. What is live is known without.
type reads struct {
	listing  recaller // nil: reading costs nothing
	source   *limiter // by address
	all      *limiter
	accounts *limiter
	same     singleflight.Group // by name
}

func newReads(cfg Config) *reads {
	listing, _ := cfg.Listing.(recaller)
	return &reads{
		listing: listing, source: newLimiter(cfg.Limits.Reader), all: newLimiter(cfg.Limits.Readers), accounts: newLimiter(cfg.Limits.Account),
	}
}

// spend is for n streams that are read for an account, which anybody can make.
func (r *reads) spend(claims access.Claims, n int) error {
	if r.listing == nil || claims.Account == "" || claims.IsAdmin() {
		return nil
	}
	return r.accounts.takeN(claims.Owner(), n)
}

type found struct {
	stream siaran.Stream
	there  bool
}

// onlyWatch are the scopes of links that may go to thousands, each of whom asks again until the stream is live.
var onlyWatch = []access.Scope{access.Watch}

// lookupFor is lookup for who sends a request with this token, to watch or to look at a stream. Without a key for it that is anybody, who
// is told what was so a moment ago, and has not more read than the limits allow.
func (s *Server) lookupFor(ctx context.Context, c echo.Context, token string, name siaran.StreamName) (siaran.Stream, bool, error) {
	if s.reads.listing == nil {
		return s.lookup(ctx, name)
	}
	if _, err := s.cfg.Hub.Broadcast(name); err == nil { // viewers of what is live here are never refused
		return s.lookup(ctx, name)
	}
	claims, err := s.cfg.Secret.Verify(ctx, token)
	key := err == nil && claims.Concern(name)
	if key && !slices.Equal(claims.Scopes, onlyWatch) {
		return s.lookup(ctx, name)
	}
	if stream, there, ok := s.reads.listing.Recall(name); ok {
		if !there {
			stream = unknown(name)
		}
		if !key || claims.Check(access.Watch, target(stream, there)) == nil {
			return stream, there, nil
		}
	}
	if key {
		return s.lookup(ctx, name)
	}
	v, err, _ := s.reads.same.Do(string(name), func() (any, error) {
		if err := s.reads.source.take(source(c.RealIP())); err != nil {
			return nil, err
		}
		if err := s.reads.all.take(""); err != nil {
			return nil, err
		}
		stream, there, err := s.lookup(context.WithoutCancel(ctx), name) // others wait for it, too
		return found{stream, there}, err
	})
	if err != nil {
		return siaran.Stream{}, false, err
	}
	f := v.(found)
	return f.stream, f.there, nil
}
