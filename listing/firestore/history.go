package firestore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"siaran/listing/internal/live"

	"cloud.google.com/go/firestore"

	"siaran"
)

// Viewers implements siaran.Listing. Viewers of a broadcast that is not the stream's any more may have documents for a
// while, and are left out.
func (f *Listing) Viewers(ctx context.Context, name siaran.StreamName) (list []siaran.ViewerRecord, err error) {
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
		snaps, err := f.query(ctx, f.stream(name).Collection("viewers").Where("broadcastId", "==", string(row.BroadcastID)))
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
func (f *Listing) Broadcasts(ctx context.Context, name siaran.StreamName, limit int) ([]siaran.BroadcastRecord, error) {
	var list []siaran.BroadcastRecord
	err := f.do(ctx, "read the history", func(ctx context.Context) error {
		newest := f.stream(name).Collection("broadcasts").OrderBy("startedAt", firestore.Desc)
		snaps, err := f.query(ctx, newest.Limit(live.Limit(limit)))
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

// lastSignOf returns when a broadcast's node was last known to be alive.
func lastSignOf(broadcast fields, lease int64, now time.Time) time.Time {
	if lease == 0 {
		lease = broadcast.time("updatedAt")
	}
	return live.FromMicros(max(broadcast.time("startedAt"), min(live.Micros(now), lease)))
}
