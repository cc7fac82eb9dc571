package listing

import (
	"context"
	"fmt"

	"siaran"
)

// maxKept bounds what is read of one node's viewers.
const maxKept = 100_000

var _ keeper = (*Firestore)(nil)

// keep implements keeper. It reads every viewer's document of the node, which costs a read each, and
// writes only what is wrong.
func (f *Firestore) keep(ctx context.Context, node string, live map[siaran.BroadcastID]map[siaran.ViewerID]siaran.Viewer) (there map[siaran.ViewerID]bool, swept int, err error) {
	err = f.do(ctx, "look at what is listed of this server", func(ctx context.Context) error {
		if err := f.ask(ctx, callTimeout); err != nil {
			return err
		}
		f.forget(node)
		if swept, err = f.dropStreams(ctx, node, live); err != nil {
			return err
		}
		there, err = f.dropViewers(ctx, node, live)
		return err
	})
	return there, swept, err
}

// dropStreams takes away streams, broadcasts and counts of a node that do not live.
func (f *Firestore) dropStreams(ctx context.Context, node string, live map[siaran.BroadcastID]map[siaran.ViewerID]siaran.Viewer) (int, error) {
	nobody := func(*transaction) error { return nil }
	gone := func(m fields) bool {
		_, lives := live[siaran.BroadcastID(m.text("broadcastId"))]
		return !lives
	}
	swept, err := f.sweepStreams(ctx, node, nobody, gone)
	if err != nil {
		return swept, err
	}
	lease, err := f.readNodeLease(ctx, node)
	if err != nil {
		return swept, err
	}
	if err := f.sweepBroadcasts(ctx, node, lease, nobody, func(id siaran.BroadcastID) bool { _, lives := live[id]; return !lives }); err != nil {
		return swept, err
	}
	return swept, f.sweepCounts(ctx, node, nobody, gone)
}

// dropViewers takes away the documents of viewers who are not there any more, and returns who is.
func (f *Firestore) dropViewers(ctx context.Context, node string, live map[siaran.BroadcastID]map[siaran.ViewerID]siaran.Viewer) (map[siaran.ViewerID]bool, error) {
	snaps, err := f.query(ctx, f.client.CollectionGroup("viewers").Where("node", "==", node).Limit(maxKept))
	if err != nil {
		return nil, fmt.Errorf("viewers: %w", err)
	}
	there := make(map[siaran.ViewerID]bool)
	flush := f.newFlush()
	for _, snap := range snaps {
		id := siaran.ViewerID(nameOf(snap.Ref.ID))
		if _, watches := live[siaran.BroadcastID(fields(snap.Data()).text("broadcastId"))][id]; watches && f.presence == PresenceDocuments {
			there[id] = true
			continue
		}
		flush.remove(snap.Ref)
		if len(flush.deletes) == sweepBatch {
			if _, _, err := flush.send(ctx); err != nil {
				return nil, fmt.Errorf("viewers: %w", err)
			}
			flush = f.newFlush()
		}
	}
	if _, _, err := flush.send(ctx); err != nil {
		return nil, fmt.Errorf("viewers: %w", err)
	}
	return there, nil
}
