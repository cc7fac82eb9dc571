package listing

import (
	"context"
	"time"

	"siaran"
)

const (
	sweepLimit     = 15 * time.Second // of one sweep of others
	reconcileRetry = 30 * time.Second // at most, between two attempts to reconcile viewers
)

// sweepOthers cleans up after servers that have died: once a lease, as soon as we have one ourselves. It runs
// independently of the reporter's own work, which it must not delay.
func (r *Reporter) sweepOthers(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-r.begun:
	}
	for failing := false; ; {
		var swept int
		err := r.call(ctx, "sweep_others", sweepLimit, func(ctx context.Context) (err error) {
			swept, err = r.listing.Sweep(ctx, "")
			return err
		})
		if swept > 0 {
			r.log.Info("removed streams of dead servers from the listing", "streams", swept)
		}
		failed := err != nil && ctx.Err() == nil && !r.lacksIndex(err)
		if failed && !failing {
			r.log.Warn("could not clean up after dead servers; will retry", "error", err)
		}
		if failing = failed; !sleep(ctx, r.lease) {
			return
		}
	}
}

// reconcileViewers corrects the viewers that are listed for this server, whenever a lease has been taken after settle:
// an earlier process may have left some, and others may have swept some of ours.
//
//	           look                  done
//	WAITING ─────────► RECONCILING ─────────► WAITING
//	                     ▲      │ failed
//	                     └──────┘ pause: 250 ms to 30 s; a minute if an index is missing
func (r *Reporter) reconcileViewers(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.look:
		}
		for pause := firstRetry; ; pause = min(2*pause, reconcileRetry) {
			err := r.reconcileOnce(ctx)
			if err == nil || ctx.Err() != nil {
				break
			}
			if r.lacksIndex(err) {
				pause = indexPause
			} else {
				r.log.Debug("could not reconcile the listed viewers; will retry", "error", err)
			}
			if !sleep(ctx, pause) {
				return
			}
		}
	}
}

// reconcileOnce removes viewers from the listing who have left, and has those written again who are missing there.
func (r *Reporter) reconcileOnce(ctx context.Context) error {
	missing := r.backlog.believed()
	err := r.reconciler.ReconcileViewers(ctx, r.node.Name, func(broadcast siaran.BroadcastID, id siaran.ViewerID) bool {
		delete(missing, id)
		return r.backlog.knows(broadcast, id)
	})
	if err == nil {
		r.backlog.lacking(missing)
		poke(r.more)
	}
	return err
}

// poke lets the receiver of c look again.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sleep reports whether d has passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
