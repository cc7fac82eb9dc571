package listing

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"siaran"
)

var liveStatuses = []string{string(siaran.StatusLive), string(siaran.StatusInterrupted)}

// maxLive bounds what is read of what is live.
const maxLive = 5000

// Stream implements siaran.Listing. What is live is in memory, as long as the database is in touch.
func (f *Firestore) Stream(ctx context.Context, name siaran.StreamName) (stream siaran.Stream, err error) {
	err = f.serve(ctx, "read a stream", func(ctx context.Context) error {
		row, ok := f.mirror.live(name)
		if !ok {
			begun := f.recent.begin()
			err := f.asking(ctx, func(ctx context.Context) (err error) {
				row, err = f.readStream(ctx, name)
				return err
			})
			if err == nil || errors.Is(err, siaran.ErrUnknownStream) {
				f.recent.put(name, row, err == nil, begun)
			}
			if err != nil {
				return err
			}
		}
		stream, err = row.stream()
		return err
	})
	return stream, err
}

func (f *Firestore) readStream(ctx context.Context, name siaran.StreamName) (streamRow, error) {
	snap, err := f.get(ctx, f.stream(name))
	if err != nil {
		return streamRow{}, err
	}
	if !snap.Exists() {
		return streamRow{}, siaran.ErrUnknownStream
	}
	row := readStreamDocument(string(name), snap.Data())
	if row.Node != "" {
		lease, err := f.readLease(ctx, row.Node)
		if err != nil {
			return streamRow{}, err
		}
		row.LeaseUntil = f.valid(lease)
	}
	return row, nil
}

// readLease is until when a node's lease is valid; 0 for a node that has none.
func (f *Firestore) readLease(ctx context.Context, node string) (int64, error) {
	if lease, ok := f.mirror.lease(node); ok {
		return lease, nil
	}
	snap, err := f.get(ctx, f.node(node))
	if err != nil {
		return 0, err
	}
	return fields(snap.Data()).time("leaseUntil"), nil
}

// valid is lease if it holds by our clock, with a margin for clocks that differ, and 0 if not.
func (f *Firestore) valid(lease int64) int64 {
	if lease != 0 && lease+leaseMargin.Microseconds() > micros(f.clock.now()) {
		return lease
	}
	return 0
}

// Streams implements siaran.Listing. What is live is in memory, as long as the database is in touch.
func (f *Firestore) Streams(ctx context.Context, q siaran.StreamQuery) (list []siaran.Stream, err error) {
	err = f.serve(ctx, "read the streams", func(ctx context.Context) error {
		rows, err := f.liveRows(ctx, q.MayLag)
		if err == nil && q.All {
			rows, err = f.addOffline(ctx, rows, q)
		}
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r streamRow) bool {
			return !q.All && r.LeaseUntil == 0 || !q.Private && r.Visibility != string(siaran.VisibilityPublic) || q.Owner != "" && r.Owner != q.Owner
		})
		sortRows(rows)
		list = make([]siaran.Stream, min(bounded(q.Limit), len(rows)))
		for i := range list {
			if list[i], err = rows[i].stream(); err != nil {
				return err
			}
		}
		return nil
	})
	return list, err
}

// sortRows puts live ones first, the newest of them on top.
func sortRows(rows []streamRow) {
	started := func(r streamRow) int64 {
		if r.LeaseUntil == 0 {
			return -1
		}
		return r.StartedAt
	}
	slices.SortFunc(rows, func(a, b streamRow) int {
		return cmp.Or(cmp.Compare(started(b), started(a)), strings.Compare(a.Name, b.Name))
	})
}

// askLive asks for all that says it is live, and for the leases it hangs on.
func (f *Firestore) askLive(ctx context.Context) (rows []streamRow, err error) {
	err = f.asking(ctx, func(ctx context.Context) error {
		rows, err = f.readLive(ctx)
		return err
	})
	return rows, err
}

func (f *Firestore) readLive(ctx context.Context) ([]streamRow, error) {
	snaps, err := f.query(ctx, f.streams().Where("status", "in", liveStatuses).Limit(maxLive))
	if err != nil {
		return nil, err
	}
	rows := make([]streamRow, len(snaps))
	leases := make(map[string]int64)
	for i, snap := range snaps {
		r := readStreamDocument(nameOf(snap.Ref.ID), snap.Data())
		lease, read := leases[r.Node]
		if !read && r.Node != "" {
			if lease, err = f.readLease(ctx, r.Node); err != nil {
				return nil, err
			}
			leases[r.Node] = lease
		}
		r.LeaseUntil = f.valid(lease)
		rows[i] = r
	}
	return rows, nil
}

// edit changes a stream in a transaction, after creating it when it is not there. change gets the row as
// it is, with its lease, and returns the fields to be set.
func (f *Firestore) edit(ctx context.Context, name siaran.StreamName, change func(streamRow) (fields, error)) (streamRow, error) {
	unlock, err := f.lock(ctx, name)
	if err != nil {
		return streamRow{}, err
	}
	defer unlock()
	var row streamRow
	at, err := f.transact(ctx, func(tx *transaction) error {
		ref := f.stream(name)
		snap, err := tx.read(ref)
		if err != nil {
			return err
		}
		m := fields(snap.Data())
		if !snap.Exists() {
			m = newStream(f.clock.now())
		}
		row = readStreamDocument(string(name), m)
		if row.Node != "" {
			node, err := tx.read(f.node(row.Node))
			if err != nil {
				return err
			}
			row.LeaseUntil = f.valid(fields(node.Data()).time("leaseUntil"))
		}
		set, err := change(row)
		if err != nil {
			return err
		}
		for k, v := range set {
			m[k] = v
		}
		lease := row.LeaseUntil
		row = readStreamDocument(string(name), m)
		row.LeaseUntil = lease
		switch {
		case !snap.Exists():
			return tx.create(ref, m)
		case len(set) > 0:
			return tx.update(ref, set)
		}
		return nil
	})
	if err != nil {
		return streamRow{}, err
	}
	if row.Status != string(siaran.StatusOffline) {
		f.mirror.wrote(name, at)
	}
	f.lists.edited(row)
	f.recent.forget(name)
	return row, nil
}

// Edit implements siaran.Listing.
func (f *Firestore) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (stream siaran.Stream, err error) {
	err = f.do(ctx, "edit a stream", func(ctx context.Context) error {
		row, err := f.edit(ctx, name, func(streamRow) (fields, error) {
			m := fields{"updatedAt": f.clock.now()}
			for key, value := range map[string]*string{
				"title": edit.Title, "description": edit.Description, "visibility": (*string)(edit.Visibility), "owner": edit.Owner,
			} {
				if value != nil {
					m[key] = *value
				}
			}
			return m, nil
		})
		if err != nil {
			return err
		}
		stream, err = row.stream()
		return err
	})
	return stream, err
}

// RotateKeys implements siaran.Listing.
func (f *Firestore) RotateKeys(ctx context.Context, name siaran.StreamName) (generation int, err error) {
	err = f.do(ctx, "rotate the keys of a stream", func(ctx context.Context) error {
		row, err := f.edit(ctx, name, func(r streamRow) (fields, error) {
			return fields{"keyGeneration": int64(r.KeyGeneration) + 1, "updatedAt": f.clock.now()}, nil
		})
		generation = row.KeyGeneration
		return err
	})
	return generation, err
}

// Claim implements siaran.Listing.
func (f *Firestore) Claim(ctx context.Context, name siaran.StreamName, node, owner string) error {
	return f.do(ctx, "claim a stream", func(ctx context.Context) error {
		_, err := f.edit(ctx, name, func(r streamRow) (fields, error) {
			stream, err := r.stream()
			if err != nil {
				return nil, err
			}
			if err := mayClaim(stream, node, owner); err != nil || owner == "" || stream.Owner == owner {
				return nil, err
			}
			return fields{"owner": owner}, nil
		})
		return err
	})
}
