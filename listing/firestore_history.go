package listing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

// Viewers implements siaran.Listing. Who watched a broadcast that is not the stream's any more may be listed for a while, and does not count.
func (f *Firestore) Viewers(ctx context.Context, name siaran.StreamName) (list []siaran.ViewerRecord, err error) {
	err = f.do(ctx, "read who watches", func(ctx context.Context) error {
		row, ok := f.mirror.live(name)
		if !ok {
			if row, err = f.readStream(ctx, name); errors.Is(err, siaran.ErrUnknownStream) {
				return nil
			} else if err != nil {
				return err
			}
		}
		if row.LeaseUntil == 0 {
			return nil
		}
		snaps, err := f.query(ctx, f.stream(name).Collection("viewers").Where("broadcastId", "==", row.Broadcast))
		if err != nil {
			return err
		}
		leases := make(map[string]int64)
		for _, snap := range snaps {
			v := readViewerDocument(name, nameOf(snap.Ref.ID), snap.Data())
			lease, read := leases[v.Node]
			if !read {
				if lease, err = f.readLease(ctx, v.Node); err != nil {
					return err
				}
				leases[v.Node] = lease
			}
			if f.valid(lease) != 0 {
				list = append(list, v)
			}
		}
		slices.SortFunc(list, func(a, b siaran.ViewerRecord) int {
			return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.ID, b.ID))
		})
		return nil
	})
	return list, err
}

// Broadcasts implements siaran.Listing.
func (f *Firestore) Broadcasts(ctx context.Context, name siaran.StreamName, limit int) (list []siaran.BroadcastRecord, err error) {
	err = f.do(ctx, "read the history", func(ctx context.Context) error {
		snaps, err := f.query(ctx, f.stream(name).Collection("broadcasts").OrderBy("startedAt", firestore.Desc).Limit(bounded(limit)))
		if err != nil {
			return err
		}
		for _, snap := range snaps {
			m := fields(snap.Data())
			b := readBroadcastDocument(name, nameOf(snap.Ref.ID), m)
			if b.EndedAt.IsZero() {
				lease, err := f.readLease(ctx, b.Node)
				if err != nil {
					return err
				}
				if f.valid(lease) == 0 { // as the next sweep will write it
					b.Status, b.EndReason, b.EndedAt = siaran.StatusOffline, siaran.EndCrashed, lastSignOf(m, lease, f.clock.now())
				}
			}
			list = append(list, b)
		}
		return nil
	})
	return list, err
}

// lastSignOf is when a broadcast's node was last known to live.
func lastSignOf(broadcast fields, lease int64, now time.Time) time.Time {
	if lease == 0 {
		lease = broadcast.time("updatedAt")
	}
	return fromMicros(max(broadcast.time("startedAt"), min(micros(now), lease)))
}
