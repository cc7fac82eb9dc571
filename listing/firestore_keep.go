package listing

import (
	"context"

	"cloud.google.com/go/firestore"

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

// tidy implements keeper. What lives is asked for only after a document has been read, so that whoever comes meanwhile is known.
func (f *Firestore) tidy(ctx context.Context, node string, lives func(siaran.BroadcastID, siaran.ViewerID) bool) error {
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
			watches := lives(siaran.BroadcastID(fields(snap.Data()).text("broadcastId")), siaran.ViewerID(nameOf(snap.Ref.ID)))
			if !watches || f.presence != PresenceDocuments {
				flush.remove(snap.Ref)
			}
		}
		for range flush.deletes {
			if err := f.broom.Wait(ctx); err != nil {
				return err
			}
		}
		err = f.do(ctx, "take away viewers that have gone", func(ctx context.Context) error {
			_, _, err := flush.send(ctx)
			return err
		})
		if err != nil || len(snaps) < sweepBatch {
			return err
		}
		page = page.StartAfter(snaps[len(snaps)-1])
	}
}
