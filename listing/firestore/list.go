package firestore

import (
	"context"
	"slices"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/listing/internal/live"
)

// liveRows returns everything that says it is live, with its rights if they are in memory or asked for.
func (f *Listing) liveRows(ctx context.Context, withRights bool) ([]live.Row, error) {
	if rows, ok := f.mirror.allLive(false); ok {
		return rows, nil
	}
	return f.askLive(ctx, withRights)
}

// addOffline adds streams that are not live, by name, until there are enough for the query.
func (f *Listing) addOffline(ctx context.Context, rows []live.Row, q siaran.StreamQuery) ([]live.Row, error) {
	limit := live.Limit(q.Limit)
	known, err := f.askByName(ctx, q, limit) // at most as many of them live as are in rows
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r live.Row) bool { return r.LeaseUntil == 0 })
	have := make(map[siaran.StreamName]bool, len(rows))
	for _, r := range rows {
		have[r.Name] = true
	}
	for _, r := range known {
		if !have[r.Name] {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// askByName returns the first streams by name, live or not, without their leases, and without rights unless they are
// asked for by owner.
func (f *Listing) askByName(ctx context.Context, of siaran.StreamQuery, limit int) (rows []live.Row, err error) {
	err = f.asking(ctx, func(ctx context.Context) error {
		if of.Owner != "" {
			rows, err = f.readOwned(ctx, of, limit)
		} else {
			rows, err = f.readByName(ctx, of, limit)
		}
		return err
	})
	return rows, err
}

func (f *Listing) readByName(ctx context.Context, of siaran.StreamQuery, limit int) ([]live.Row, error) {
	q := f.streams().Query
	if !of.Private {
		q = q.Where("visibility", "==", string(siaran.VisibilityPublic))
	}
	q = q.OrderBy(firestore.DocumentID, firestore.Asc).Limit(limit)
	var rows []live.Row
	for page := q; ; {
		snaps, err := f.query(ctx, page)
		if err != nil {
			return nil, err
		}
		for _, snap := range snaps {
			if row := readStreamDocument(nameOf(snap.Ref.ID), snap.Data()); !row.Removed && len(rows) < limit {
				rows = append(rows, row)
			}
		}
		if len(snaps) < limit || len(rows) == limit {
			return rows, nil
		}
		page = q.StartAfter(snaps[len(snaps)-1])
	}
}

// RecallLive implements listing.Metered.
func (f *Listing) RecallLive(name siaran.StreamName) (siaran.Stream, bool) {
	if f.ended.Err() != nil {
		return siaran.Stream{}, false
	}
	row, ok := f.mirror.live(name)
	return row.View(), ok
}

// RecallAllLive implements listing.Metered.
func (f *Listing) RecallAllLive() ([]siaran.Stream, bool) {
	if f.ended.Err() != nil {
		return nil, false
	}
	rows, ok := f.mirror.allLive(true)
	if !ok {
		return nil, false
	}
	var streams []siaran.Stream
	for _, row := range rows {
		if row.LeaseUntil != 0 {
			streams = append(streams, row.View())
		}
	}
	return streams, true
}
