package listing

import (
	"context"
	"time"

	"siaran"
)

// poke has whoever receives from c look.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// sweepOthers tidies up after servers that have died. It is beside the reporter's own work, which it must not hold up.
func (r *Reporter) sweepOthers(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-r.begun:
	}
	for failing := false; ; {
		var swept int
		err := within(ctx, sweepLimit, func(ctx context.Context) (err error) {
			swept, err = r.listing.Sweep(ctx, "")
			return err
		})
		if swept > 0 {
			r.log.Info("streams of servers that died have been taken from the listing", "streams", swept)
		}
		failed := err != nil && ctx.Err() == nil && !r.lacksIndex(err)
		if failed && !failing {
			r.log.Warn("what servers that died have left in the listing stays there for now; trying again", "error", err)
		}
		if failing = failed; !sleep(ctx, r.lease) {
			return
		}
	}
}

// tidyOwn looks through the viewers that are listed of this server whenever a lease has been taken anew: a process before may have left
// some, and others may have swept some of ours.
func (r *Reporter) tidyOwn(ctx context.Context, k keeper) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.look:
		}
		for pause := firstRetry; ; pause = min(2*pause, tidyRetry) {
			err := r.tidyOnce(ctx, k)
			if err == nil || ctx.Err() != nil {
				break
			}
			if r.lacksIndex(err) {
				pause = indexPause
			} else {
				r.log.Debug("viewers that have gone are still listed; trying again", "error", err)
			}
			if !sleep(ctx, pause) {
				return
			}
		}
	}
}

const tidyRetry = 30 * time.Second

func (r *Reporter) tidyOnce(ctx context.Context, k keeper) error {
	missing := r.backlog.believed()
	err := k.tidy(ctx, r.node.Name, func(broadcast siaran.BroadcastID, id siaran.ViewerID) bool {
		delete(missing, id)
		return r.backlog.knows(broadcast, id)
	})
	if err == nil {
		r.backlog.lacking(missing)
		poke(r.more)
	}
	return err
}
