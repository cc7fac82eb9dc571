package firestore

import (
	"context"

	"siaran"
	"siaran/listing/internal/live"
)

// Delete implements siaran.Listing. It deletes the history first, so that it can be called again after a failure. The
// document that is left is private, so the rules show it to nobody.
func (f *Listing) Delete(ctx context.Context, name siaran.StreamName) error {
	err := f.do(ctx, "look at a stream", func(ctx context.Context) error {
		row, err := f.readStream(ctx, name)
		if err == nil && row.LeaseUntil != 0 {
			err = siaran.ErrStreamLive
		}
		return err
	})
	if err != nil {
		return err
	}
	for more := true; more; {
		err := f.do(ctx, "delete the history", func(ctx context.Context) (err error) {
			more, err = f.deleteHistory(ctx, name)
			return err
		})
		if err != nil {
			return err
		}
	}
	return f.do(ctx, "delete a stream", func(ctx context.Context) error { return f.remove(ctx, name) })
}

// deleteHistory deletes a batch of the history, and reports whether there may be more.
func (f *Listing) deleteHistory(ctx context.Context, name siaran.StreamName) (more bool, err error) {
	snaps, err := f.query(ctx, f.stream(name).Collection("broadcasts").Limit(sweepBatch))
	if err != nil || len(snaps) == 0 {
		return false, err
	}
	flush := f.newFlush()
	for _, snap := range snaps {
		flush.remove(snap.Ref)
	}
	_, _, err = flush.send(ctx)
	return len(snaps) == sweepBatch, err
}

// remove clears a stream's document, and its rights except for the key generation.
func (f *Listing) remove(ctx context.Context, name siaran.StreamName) error {
	unlock, err := f.locks.take(ctx, string(name))
	if err != nil {
		return err
	}
	defer unlock()
	mixed, err := f.olderServers(ctx)
	if err != nil {
		return err
	}
	var before live.Row
	at, err := f.transact(ctx, func(tx *transaction) error {
		snap, err := tx.read(f.stream(name))
		if err != nil {
			return err
		}
		m := fields(snap.Data())
		before = readStreamDocument(string(name), m)
		if !snap.Exists() || before.Removed {
			return siaran.ErrUnknownStream
		}
		if err := f.readRights(tx, &before, m); err != nil {
			return err
		}
		if before.Node != "" {
			node, err := tx.read(f.node(before.Node))
			if err != nil {
				return err
			}
			if f.valid(fields(node.Data()).time("leaseUntil")) != 0 {
				return siaran.ErrStreamLive
			}
		}
		set := newStream(f.clock.now())
		set["visibility"], set["removed"] = string(siaran.VisibilityPrivate), true
		err = f.putRights(tx, name, m, set, rightsIn(before), rights{generation: before.KeyGeneration + 1}, mixed)
		if err != nil {
			return err
		}
		return tx.update(f.stream(name), set)
	})
	if err != nil {
		return err
	}
	if before.Status != siaran.StatusOffline { // on a server that has died
		f.mirror.wrote(name, at)
	}
	return nil
}
