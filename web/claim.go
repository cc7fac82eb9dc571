package web

import (
	"context"
	"errors"
	"time"

	"siaran"
	"siaran/web/access"
)

const claimTime = time.Second

// claimForBroadcast gives a stream to this server before it is published here. A name that is new becomes the
// account's.
func (s *Server) claimForBroadcast(ctx context.Context, g grant) error {
	if err := s.keyLimit.take(g.claims.Owner()); err != nil {
		return err
	}
	owner, quota := "", 0 // owner is empty also for an administrator who publishes another account's stream
	acquires := g.claims.Acquires(g.target())
	if acquires || g.claims.Account == g.stream.Owner {
		owner = g.claims.Account
	}
	if acquires {
		var err error
		if quota, err = s.nameQuota(g.claims); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, claimTime)
	defer cancel()
	switch err := s.listing.Claim(ctx, g.stream.Name, s.cfg.Node, owner, quota); {
	case errors.Is(err, siaran.ErrTooManyNames):
		return s.tooManyNames()
	case errors.Is(err, siaran.ErrStreamTaken):
		if s.cfg.MayMove != nil {
			if err = s.cfg.MayMove(g.stream.Name, g.claims.Owner()); !errors.Is(err, siaran.ErrStreamTaken) {
				return err
			}
		}
		where := s.whereLive(ctx, g.stream.Name)
		return fail(streamTaken, "the stream is live on %s; end that broadcast first", where)
	case errors.Is(err, siaran.ErrNotOwner), errors.Is(err, siaran.ErrAbove):
		return err
	case errors.Is(err, siaran.ErrParent), errors.Is(err, siaran.ErrLoop), errors.Is(err, siaran.ErrTooFar):
		return err // it may be a private stream of the parent's: listed here, it would be a public one
	case err != nil && acquires: // the owner must be recorded first
		return listingFailed(err)
	case err != nil:
		// Media does not wait for the database: the reporter writes what is live when it is back.
		s.log.Warn("the listing did not answer before a broadcast", "stream", g.stream.Name, "error", err)
	}
	return nil
}

// claimForEdit gives a new stream to the account that edits it. Call it when the whole request is known to be valid.
func (s *Server) claimForEdit(ctx context.Context, g grant) error {
	if !g.claims.Acquires(g.target()) {
		return nil
	}
	quota, err := s.nameQuota(g.claims)
	if err != nil {
		return err
	}
	switch err := s.listing.Claim(ctx, g.stream.Name, s.cfg.Node, g.claims.Account, quota); {
	case errors.Is(err, siaran.ErrTooManyNames):
		return s.tooManyNames()
	case errors.Is(err, siaran.ErrNotOwner) || errors.Is(err, siaran.ErrStreamTaken): // somebody else was faster
		return siaran.ErrNotOwner
	case err != nil:
		return listingFailed(err)
	}
	return nil
}

// nameQuota returns how many names an account may own, or 0 for any number. Accounts cost nothing to make, and
// streams stay in the listing. Checking the quota reads all names of the account, which counts against its budget.
func (s *Server) nameQuota(claims access.Claims) (int, error) {
	if claims.IsAdmin() {
		return 0, nil
	}
	quota := s.cfg.Limits.Names
	return quota, s.budget.spend(claims, quota)
}

func (s *Server) tooManyNames() error {
	return fail(tooManyNames, "an account owns at most %d names: use one of them", s.cfg.Limits.Names)
}

// MayMove reports whether a broadcaster may go on here with what is live on another server. It fails with
// siaran.ErrStreamTaken and siaran.ErrContested.
type MayMove func(stream siaran.StreamName, owner string) error
