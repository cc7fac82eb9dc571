package listing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"siaran"
)

const (
	settleTime = 10 * time.Second // to reconcile the streams that are listed for this node
	indexPause = time.Minute      // before something that lacks an index is tried again: building one takes minutes
	endTimeout = 3 * time.Second  // to write the last state
)

func (r *Reporter) tryWork(ctx context.Context) error {
	if r.lapsed() || !r.auditAt.IsZero() && !r.now().Before(r.auditAt) {
		r.settled = false // others may have swept what is ours
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if !r.now().Before(r.renewAt) {
		if err := r.renew(ctx, r.now().Add(r.lease)); err != nil {
			return err
		}
	}
	return r.write(ctx, func() bool { return !r.now().Before(r.renewAt) }) // the lease goes before the rest
}

// settle corrects what the listing holds of this node, so that what lives can be written again. Viewers, who may be
// many, wait until the lease is taken, if nobody counts them before.
func (r *Reporter) settle(ctx context.Context) error {
	if r.settled {
		return nil
	}
	var swept int
	var err error
	if r.reconciler != nil {
		err = r.call(ctx, "reconcile", settleTime, func(ctx context.Context) (err error) {
			swept, err = r.reconciler.Reconcile(ctx, r.node.Name, r.backlog.living())
			return err
		})
	} else {
		err = r.call(ctx, "sweep", CallTimeout, func(ctx context.Context) (err error) {
			swept, err = r.listing.Sweep(ctx, r.node.Name)
			return err
		})
	}
	missing := r.lacksIndex(err)
	if err != nil && !missing {
		return fmt.Errorf("cleaning up: %w", err)
	}
	if swept > 0 {
		r.log.Info("removed streams of this server that were still listed", "streams", swept)
	}
	r.settled, r.auditAt = true, time.Time{}
	if missing {
		r.auditAt = r.now().Add(indexPause)
	}
	r.renewAt = time.Time{}
	r.backlog.restart(r.reconciler == nil)
	r.unseen = true
	return nil
}

// lacksIndex reports whether err says that an index is missing, and warns about it once. Only the clean-up has to wait
// then.
func (r *Reporter) lacksIndex(err error) bool {
	if !errors.Is(err, ErrNoIndex) {
		return false
	}
	r.unable.Do(func() {
		r.log.Warn("cannot clean up after dead servers; everything else works", "error", err)
	})
	return true
}

// lapsed reports whether our lease may have run out, by the time of day or by the time that has passed: the first can
// be set, and the second stands still while a machine sleeps.
func (r *Reporter) lapsed() bool {
	now := r.now()
	return !now.Before(r.held) || !now.Round(0).Before(r.held.Round(0))
}

func (r *Reporter) renew(ctx context.Context, until time.Time) error {
	node := r.node
	node.LeaseUntil = until
	r.load(&node)
	now := r.now()
	err := r.call(ctx, "renew", CallTimeout, func(ctx context.Context) error { return r.listing.Renew(ctx, node) })
	if err != nil {
		return fmt.Errorf("renewing the lease: %w", err)
	}
	if r.held.IsZero() {
		close(r.begun)
	}
	r.held = until
	r.renewAt, r.renewed, r.told = now.Add(r.renewal), now, node
	if r.unseen { // from now on nobody else removes anything of this node
		r.unseen = false
		poke(r.look)
	}
	return nil
}

// write writes what is due, until enough returns true.
func (r *Reporter) write(ctx context.Context, enough func() bool) error {
	for {
		now := r.now()
		parts := r.backlog.next(now)
		if len(parts) == 0 {
			return nil
		}
		u := siaran.Update{Node: r.node.Name, At: now}
		for _, p := range parts {
			u.Changes = append(u.Changes, p.change)
		}
		err := r.call(ctx, "apply", CallTimeout, func(ctx context.Context) error { return r.listing.Apply(ctx, u) })
		if err != nil {
			return fmt.Errorf("writing what has changed: %w", err)
		}
		r.backlog.wrote(parts, now)
		if enough() {
			return nil
		}
	}
}

// finish writes what is left and gives the lease back, trying again until endTimeout.
func (r *Reporter) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for pause := firstRetry; ; pause *= 2 {
		err := r.tryFinish(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("could not tell the listing that this server has stopped; "+
				"its streams stay listed for up to %v: %w", r.lease, err)
		case <-time.After(pause):
		}
	}
}

// tryFinish ends the streams before the lease, and removes viewers after it: these may be many, and are not counted
// any more. Those for whom there is no time are swept by another server, or by this one when it comes back.
func (r *Reporter) tryFinish(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.backlog.hurry()
	if r.backlog.pressing() {
		if err := r.write(ctx, func() bool { return !r.backlog.pressing() }); err != nil {
			return err
		}
	}
	if err := r.renew(ctx, r.now()); err != nil {
		return err
	}
	if err := r.write(ctx, func() bool { return false }); err != nil {
		r.log.Info("some viewers are still listed, though not counted, until they are swept", "error", err)
	}
	return nil
}

// within calls f with a time limit.
func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v: %w", limit, err)
	}
	return err
}
