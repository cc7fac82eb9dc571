package listing

import (
	"context"
	"fmt"

	"cloud.google.com/go/firestore"

	"siaran"
)

func all(fields) bool { return true }

func nobody(*transaction) error { return nil }

// sweepBroadcasts ends those in the history that were left running.
func (f *Firestore) sweepBroadcasts(ctx context.Context, node string, lease int64, guard func(*transaction) error, gone func(siaran.BroadcastID) bool) error {
	running := f.client.CollectionGroup("broadcasts").Where("node", "==", node).Where("endedAt", "==", nil)
	err := f.batches(ctx, running, guard, func(tx *transaction, snap *firestore.DocumentSnapshot) error {
		if !gone(siaran.BroadcastID(nameOf(snap.Ref.ID))) {
			return nil
		}
		now := f.clock.now()
		ended := lastSignOf(snap.Data(), lease, now)
		return tx.update(snap.Ref, fields{
			"status": string(siaran.StatusOffline), "reason": string(siaran.EndCrashed), "endedAt": ended,
			"updatedAt": now, "expireAt": ended.Add(historyKept),
		})
	})
	if err != nil {
		return fmt.Errorf("broadcasts: %w", err)
	}
	return nil
}

// sweepCounts takes away what a node counted of other nodes' streams.
func (f *Firestore) sweepCounts(ctx context.Context, node string, guard func(*transaction) error, gone func(fields) bool) error {
	err := f.batches(ctx, f.client.CollectionGroup("nodes").Where("node", "==", node), guard, func(tx *transaction, snap *firestore.DocumentSnapshot) error {
		if snap.Ref.Parent.Parent == nil || !gone(snap.Data()) {
			return nil
		}
		return tx.remove(snap.Ref)
	})
	if err != nil {
		return fmt.Errorf("counts: %w", err)
	}
	return nil
}

func (f *Firestore) readNodeLease(ctx context.Context, node string) (int64, error) {
	snap, err := f.get(ctx, f.node(node))
	if err != nil {
		return 0, err
	}
	return fields(snap.Data()).time("leaseUntil"), nil
}

// sweepStreams makes those streams of a node offline that gone tells.
func (f *Firestore) sweepStreams(ctx context.Context, node string, guard func(*transaction) error, gone func(fields) bool) (count int, err error) {
	swept := 0
	err = f.pages(ctx, f.streams().Where("node", "==", node), sweepBatch/2, func(snaps []*firestore.DocumentSnapshot) error {
		var refs []*firestore.DocumentRef
		for _, snap := range snaps {
			if gone(snap.Data()) {
				refs = append(refs, snap.Ref)
			}
		}
		if len(refs) == 0 {
			return nil
		}
		_, err := f.transact(ctx, func(tx *transaction) error {
			swept = 0
			if err := guard(tx); err != nil {
				return err
			}
			now, err := tx.readAll(refs)
			if err != nil {
				return err
			}
			for _, snap := range now {
				if m := fields(snap.Data()); m.text("node") == node && gone(m) {
					gone := offlineFields()
					gone["updatedAt"] = f.clock.now()
					if err := tx.update(snap.Ref, gone); err != nil {
						return err
					}
					swept++
				}
			}
			return nil
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

// batches calls edit for all that q finds, some in each transaction.
func (f *Firestore) batches(ctx context.Context, q firestore.Query, guard func(*transaction) error, edit func(*transaction, *firestore.DocumentSnapshot) error) error {
	return f.pages(ctx, q, sweepBatch, func(snaps []*firestore.DocumentSnapshot) error {
		_, err := f.transact(ctx, func(tx *transaction) error {
			if err := guard(tx); err != nil {
				return err
			}
			for _, snap := range snaps {
				if err := edit(tx, snap); err != nil {
					return err
				}
			}
			return nil
		})
		return err
	})
}

// pages calls do for all that q finds, at most size at a time, in the order of their names: what is left as it
// is must not stand before what comes behind it.
func (f *Firestore) pages(ctx context.Context, q firestore.Query, size int, do func([]*firestore.DocumentSnapshot) error) error {
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
