package firestore

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore"

	"siaran"
)

// guard is called at the beginning of every transaction of a sweep, and stops the sweep by its error.
type guard func(*transaction) error

func noGuard(*transaction) error { return nil }

// sweepBroadcasts ends those broadcasts of a node in the history that gone selects and that were left running.
func (f *Listing) sweepBroadcasts(ctx context.Context, node string, lease int64, guard guard,
	gone func(siaran.BroadcastID) bool,
) error {
	running := f.client.CollectionGroup("broadcasts").Where("node", "==", node).Where("endedAt", "==", nil)
	err := f.pages(ctx, running, sweepBatch, func(snaps []*firestore.DocumentSnapshot) error {
		_, err := f.transact(ctx, func(tx *transaction) error {
			if err := guard(tx); err != nil {
				return err
			}
			for _, snap := range snaps {
				if !gone(siaran.BroadcastID(nameOf(snap.Ref.ID))) {
					continue
				}
				now := f.clock.now()
				ended := lastSignOf(snap.Data(), lease, now)
				if err := tx.update(snap.Ref, fields{
					"status": string(siaran.StatusOffline), "reason": string(siaran.EndCrashed), "endedAt": ended,
					"updatedAt": now, "expireAt": ended.Add(historyKept),
				}); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
	if err != nil {
		return fmt.Errorf("broadcasts: %w", err)
	}
	return nil
}

func (f *Listing) readNodeLease(ctx context.Context, node string) (int64, error) {
	snap, err := f.get(ctx, f.node(node))
	if err != nil {
		return 0, err
	}
	return fields(snap.Data()).time("leaseUntil"), nil
}

// sweepStreams makes those streams of a node offline that gone selects, and returns how many.
func (f *Listing) sweepStreams(ctx context.Context, node string, guard guard, gone func(fields) bool) (int, error) {
	count := 0
	listed := f.streams().Where("node", "==", node)
	err := f.pages(ctx, listed, sweepBatch/2, func(snaps []*firestore.DocumentSnapshot) error {
		var refs []*firestore.DocumentRef
		for _, snap := range snaps {
			if gone(snap.Data()) {
				refs = append(refs, snap.Ref)
			}
		}
		if len(refs) == 0 {
			return nil
		}
		var swept int
		_, err := f.transact(ctx, func(tx *transaction) (err error) {
			if err := guard(tx); err != nil {
				return err
			}
			swept, err = f.sweepPage(tx, refs, func(m fields) bool { return m.text("node") == node && gone(m) })
			return err
		})
		if err == nil {
			count += swept
		}
		return err
	})
	if err != nil {
		return count, fmt.Errorf("streams: %w", err)
	}
	return count, nil
}

// sweepPage reads streams again in the transaction, makes those offline that gone still selects, and returns how many.
func (f *Listing) sweepPage(tx *transaction, refs []*firestore.DocumentRef, gone func(fields) bool) (int, error) {
	swept := 0
	snaps, err := tx.readAll(refs)
	if err != nil {
		return 0, err
	}
	for _, snap := range snaps {
		if !gone(snap.Data()) {
			continue
		}
		set := offlineFields()
		set["updatedAt"] = f.clock.now()
		if err := tx.update(snap.Ref, set); err != nil {
			return 0, err
		}
		swept++
	}
	return swept, nil
}

// pages calls do for all that q finds, at most size at a time. They come in the order of their names, so that what do
// leaves as it is does not come again.
func (f *Listing) pages(ctx context.Context, q firestore.Query, size int,
	do func([]*firestore.DocumentSnapshot) error,
) error {
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(size)
	for page := q; ; {
		snaps, err := f.query(ctx, page)
		if err != nil || len(snaps) == 0 {
			return err
		}
		if err := do(snaps); err != nil {
			return err
		}
		if len(snaps) < size {
			return nil
		}
		page = q.StartAfter(snaps[len(snaps)-1])
	}
}
