package web

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/web/access"
)

const (
	lookEvery    = 2 * time.Second  // for rights that were withdrawn, here or on another server
	recheckEvery = 15 * time.Second // of claims that a sign-in service decides
	atOnce       = 16               // sessions that are ended, and accounts that are rechecked, at the same time
)

// withdraw ends the sessions whose right is gone, until ctx ends: because the stream has become private or has another
// owner, its keys were renewed, the token has expired, or the account is disabled.
func (s *Server) withdraw(ctx context.Context) {
	every(ctx, s.lookEvery, s.rights.wake, func() {
		for _, name := range s.rights.streams() {
			if stream, there, ok := s.rulesNow(ctx, name); ok {
				s.withdrawOf(stream, there)
			}
		}
	})
}

// every calls f after each pause, and when wake says so, until ctx ends.
func every(ctx context.Context, pause time.Duration, wake <-chan struct{}, f func()) {
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-wake:
		}
		f()
	}
}

func (s *Server) withdrawOf(stream siaran.Stream, there bool) {
	viewers, owner, why := s.rights.refused(stream, there, time.Now())
	if why != nil && s.cfg.Hub.EndOf(stream.Name, owner, siaran.EndByOwner) == nil {
		s.events.add(eventWithdrawn, stream.Name, why.Error())
		s.log.Info("broadcast ended: it may no longer be published", "stream", stream.Name, "reason", why)
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for id, why := range viewers {
		g.Go(func() error {
			if s.cfg.Egress.Withdraw(id) == nil {
				s.events.add(eventWithdrawn, stream.Name, why.Error())
				s.log.Info("viewer sent away: it may no longer watch",
					"stream", stream.Name, "session", id.String(), "reason", why)
			}
			return nil
		})
	}
	_ = g.Wait() // nothing fails
}

// rulesNow asks the listing for a stream. ok is false while it does not answer: media goes on without it.
func (s *Server) rulesNow(ctx context.Context, name siaran.StreamName) (stream siaran.Stream, there, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, lookupTime)
	defer cancel()
	stream, err := s.liveFeed.look(ctx, name)
	switch {
	case err == nil:
		return stream, true, true
	case errors.Is(err, siaran.ErrUnknownStream):
		return unknown(name, stream.KeyGeneration), false, true
	}
	return stream, false, false
}

// recheck verifies now and then that claims which no stream's keys decide are still good. It runs in parallel with
// withdraw, because a sign-in service may take long to answer.
func (s *Server) recheck(ctx context.Context) {
	every(ctx, s.recheckEvery, nil, func() {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for _, c := range s.rights.doubtful() {
			g.Go(func() error {
				now, err := s.cfg.Tokens.Recheck(ctx, c)
				if final(err) {
					s.rights.rechecked(c, now, err)
				}
				return nil
			})
		}
		_ = g.Wait() // nothing fails
		s.rights.look()
	})
}

// final reports whether the outcome of a recheck decides about what the claims have opened. Expiry is not among these:
// it is known without.
func final(err error) bool {
	return err == nil ||
		errors.Is(err, access.ErrRevoked) || errors.Is(err, access.ErrSignedOut) || errors.Is(err, access.ErrDisabled)
}
