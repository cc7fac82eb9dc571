package firestore

import (
	"context"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/listing"
)

// Reconcile implements listing.Reconciler. Viewers are left to ReconcileViewers: those of a broadcast that is not their
// stream's any more are not counted.
func (f *Listing) Reconcile(ctx context.Context, node string, live map[siaran.BroadcastID]bool) (swept int, err error) {
	err = f.do(ctx, "look at what is listed of this server", func(ctx context.Context) error {
		if err := f.ask(ctx, listing.CallTimeout); err != nil {
			return err
		}
		f.ledger.forget(node)
		swept, err = f.sweepStreams(ctx, node, noGuard, func(m fields) bool {
			return !live[siaran.BroadcastID(m.text("broadcastId"))]
		})
		if err != nil {
			return err
		}
		lease, err := f.readNodeLease(ctx, node)
		if err != nil {
			return err
		}
		return f.sweepBroadcasts(ctx, node, lease, noGuard, func(id siaran.BroadcastID) bool { return !live[id] })
	})
	return swept, err
}

// ReconcileViewers implements listing.Reconciler. It calls watches only after a document has been read, so that
// watches knows viewers who join while it runs.
func (f *Listing) ReconcileViewers(ctx context.Context, node string,
	watches func(siaran.BroadcastID, siaran.ViewerID) bool,
) error {
	for page := f.viewersOf(node); ; {
		var snaps []*firestore.DocumentSnapshot
		err := f.do(ctx, "look at the viewers of this server", func(ctx context.Context) (err error) {
			snaps, err = f.query(ctx, page)
			return err
		})
		if err != nil {
			return err
		}
		flush := f.newFlush()
		for _, snap := range snaps {
			broadcast := siaran.BroadcastID(fields(snap.Data()).text("broadcastId"))
			if !watches(broadcast, siaran.ViewerID(nameOf(snap.Ref.ID))) || f.presence != PresenceDocuments {
				flush.remove(snap.Ref)
			}
		}
		for range flush.deletes {
			if err := f.sweepLimiter.Wait(ctx); err != nil {
				return err
			}
		}
		err = f.do(ctx, "remove viewers who have left", func(ctx context.Context) error {
			_, _, err := flush.send(ctx)
			return err
		})
		if err != nil || len(snaps) < sweepBatch {
			return err
		}
		page = page.StartAfter(snaps[len(snaps)-1])
	}
}
