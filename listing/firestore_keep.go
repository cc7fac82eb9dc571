package listing

import (
	"context"

	"siaran"
)

var _ keeper = (*Firestore)(nil)

// keep implements keeper. Viewers are left to tidy: nobody counts those of a broadcast that is not their stream's any more.
func (f *Firestore) keep(ctx context.Context, node string, live map[siaran.BroadcastID]bool) (swept int, err error) {
	err = f.do(ctx, "look at what is listed of this server", func(ctx context.Context) error {
		if err := f.ask(ctx, callTimeout); err != nil {
			return err
		}
		f.forget(node)
		gone := func(m fields) bool { return !live[siaran.BroadcastID(m.text("broadcastId"))] }
		if swept, err = f.sweepStreams(ctx, node, nobody, gone); err != nil {
			return err
		}
		lease, err := f.readNodeLease(ctx, node)
		if err != nil {
			return err
		}
		if err := f.sweepBroadcasts(ctx, node, lease, nobody, func(id siaran.BroadcastID) bool { return !live[id] }); err != nil {
			return err
		}
		return f.sweepCounts(ctx, node, nobody, gone)
	})
	return swept, err
}
