package firestore

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"siaran/listing/internal/live"

	"cloud.google.com/go/firestore"

	"siaran"
)

var liveStatuses = []string{string(siaran.StatusLive), string(siaran.StatusInterrupted)}

// maxLive limits how many live streams are read.
const maxLive = 5000

// Stream implements siaran.Listing. Live streams come from memory while the database can be reached.
func (f *Listing) Stream(ctx context.Context, name siaran.StreamName) (stream siaran.Stream, err error) {
	err = f.serve(ctx, "read a stream", func(ctx context.Context) error {
		row, ok := f.mirror.live(name)
		if !ok {
			err := f.asking(ctx, func(ctx context.Context) (err error) {
				row, err = f.readStream(ctx, name)
				return err
			})
			if err != nil {
				stream = row.Remains()
				return err
			}
		}
		stream = row.View()
		return nil
	})
	return stream, err
}

func (f *Listing) readStream(ctx context.Context, name siaran.StreamName) (live.Row, error) {
	snap, err := f.get(ctx, f.stream(name))
	if err != nil {
		return live.Row{}, err
	}
	if !snap.Exists() {
		return live.Row{Stream: siaran.Stream{Name: name}}, siaran.ErrUnknownStream
	}
	row := readStreamDocument(string(name), snap.Data())
	if err := f.addRights(ctx, []*live.Row{&row}, []fields{snap.Data()}); err != nil {
		return live.Row{}, err
	}
	if row.Removed {
		return row, siaran.ErrUnknownStream
	}
	if row.Node != "" {
		lease, err := f.readLease(ctx, row.Node)
		if err != nil {
			return live.Row{}, err
		}
		row.LeaseUntil = f.valid(lease)
	}
	return row, nil
}

// readLease returns until when a node's lease is valid; 0 for a node that has none.
func (f *Listing) readLease(ctx context.Context, node string) (int64, error) {
	if lease, ok := f.mirror.lease(node); ok {
		return lease, nil
	}
	snap, err := f.get(ctx, f.node(node))
	if err != nil {
		return 0, err
	}
	return fields(snap.Data()).time("leaseUntil"), nil
}

// valid returns the lease if it holds by the database's time, with a margin, and 0 if not.
func (f *Listing) valid(lease int64) int64 {
	if lease != 0 && lease+leaseMargin.Microseconds() > live.Micros(f.clock.now()) {
		return lease
	}
	return 0
}

// Streams implements siaran.Listing. Live streams come from memory while the database can be reached.
func (f *Listing) Streams(ctx context.Context, q siaran.StreamQuery) (list []siaran.Stream, err error) {
	err = f.serve(ctx, "read the streams", func(ctx context.Context) error {
		rows, err := f.liveRows(ctx, q.Owner != "")
		if err == nil && q.All {
			rows, err = f.addOffline(ctx, rows, q)
		}
		if err != nil {
			return err
		}
		rows = slices.DeleteFunc(rows, func(r live.Row) bool {
			return !q.All && r.LeaseUntil == 0 || !q.Private && r.Visibility != siaran.VisibilityPublic ||
				q.Owner != "" && r.Owner != q.Owner
		})
		sortRows(rows)
		list = make([]siaran.Stream, min(live.Limit(q.Limit), len(rows)))
		for i := range list {
			list[i] = rows[i].Listed(q)
		}
		return nil
	})
	return list, err
}

// sortRows puts live streams first, newest first.
func sortRows(rows []live.Row) {
	started := func(r live.Row) int64 {
		if r.LeaseUntil == 0 {
			return -1
		}
		return live.Micros(r.StartedAt)
	}
	slices.SortFunc(rows, func(a, b live.Row) int {
		return cmp.Or(cmp.Compare(started(b), started(a)), cmp.Compare(a.Name, b.Name))
	})
}

// askLive reads all streams whose documents say that they are live, and the leases they depend on. It reads their
// rights only if it is asked to.
func (f *Listing) askLive(ctx context.Context, withRights bool) (rows []live.Row, err error) {
	err = f.asking(ctx, func(ctx context.Context) error {
		rows, err = f.readLive(ctx, withRights)
		return err
	})
	return rows, err
}

func (f *Listing) readLive(ctx context.Context, withRights bool) ([]live.Row, error) {
	snaps, err := f.query(ctx, f.streams().Where("status", "in", liveStatuses).Limit(maxLive))
	if err != nil {
		return nil, err
	}
	rows := make([]live.Row, len(snaps))
	all, documents := make([]*live.Row, len(snaps)), make([]fields, len(snaps))
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
		rows[i], all[i], documents[i] = r, &rows[i], snap.Data()
	}
	if withRights {
		return rows, f.addRights(ctx, all, documents)
	}
	return rows, nil
}

// change returns the fields to set in a stream's document, and the rights to be. It gets the stream as it is, with its
// lease, and may read more in the transaction.
type change func(tx *transaction, row live.Row) (fields, rights, error)

// edit changes a stream in a transaction, and creates it if it does not exist. It returns the stream as it is then.
func (f *Listing) edit(ctx context.Context, name siaran.StreamName, change change) (live.Row, error) {
	unlock, err := f.locks.take(ctx, string(name))
	if err != nil {
		return live.Row{}, err
	}
	defer unlock()
	mixed, err := f.olderServers(ctx)
	if err != nil {
		return live.Row{}, err
	}
	var row live.Row
	at, err := f.transact(ctx, func(tx *transaction) (err error) {
		row, err = f.tryEdit(tx, name, change, mixed)
		return err
	})
	if err != nil {
		return live.Row{}, err
	}
	if row.Status != siaran.StatusOffline {
		f.mirror.wrote(name, at)
	}
	return row, nil
}

// tryEdit is one attempt of the transaction in edit.
func (f *Listing) tryEdit(tx *transaction, name siaran.StreamName, change change, mixed bool) (live.Row, error) {
	snap, err := tx.read(f.stream(name))
	if err != nil {
		return live.Row{}, err
	}
	m := fields(snap.Data())
	if !snap.Exists() {
		m = newStream(f.clock.now())
	}
	row := readStreamDocument(string(name), m)
	if err := f.readRights(tx, &row, m); err != nil {
		return live.Row{}, err
	}
	if row.Node != "" {
		node, err := tx.read(f.node(row.Node))
		if err != nil {
			return live.Row{}, err
		}
		row.LeaseUntil = f.valid(fields(node.Data()).time("leaseUntil"))
	}
	set := fields{}
	if row.Removed { // the stream is new, except for the generation of its keys
		set = fields{
			"removed": firestore.Delete, "visibility": string(siaran.VisibilityPublic), "updatedAt": f.clock.now(),
		}
		row.Removed, row.Visibility = false, siaran.VisibilityPublic
	}
	changed, after, err := change(tx, row)
	if err != nil {
		return live.Row{}, err
	}
	maps.Copy(set, changed)
	document := maps.Clone(m)
	maps.Copy(document, set)
	edited := readStreamDocument(string(name), document)
	after.putInto(&edited)
	edited.LeaseUntil = row.LeaseUntil
	if err := f.putRights(tx, name, m, set, rightsIn(row), after, mixed); err != nil {
		return live.Row{}, err
	}
	return edited, tx.save(snap, m, set)
}

// Edit implements siaran.Listing.
func (f *Listing) Edit(ctx context.Context, name siaran.StreamName, edit siaran.StreamEdit) (siaran.Stream, error) {
	var stream siaran.Stream
	err := f.do(ctx, "edit a stream", func(ctx context.Context) error {
		row, err := f.edit(ctx, name, func(_ *transaction, r live.Row) (fields, rights, error) {
			m, after := fields{"updatedAt": f.clock.now()}, rightsIn(r)
			if edit.Owner != nil && *edit.Owner != r.Owner {
				after = rights{*edit.Owner, r.KeyGeneration + 1}
			}
			for key, value := range map[string]*string{
				"title": edit.Title, "description": edit.Description, "visibility": (*string)(edit.Visibility),
				"embedSites": (*string)(edit.EmbedSites),
			} {
				if value != nil {
					m[key] = *value
				}
			}
			if edit.MaxViewers != nil {
				m["maxViewers"] = int64(*edit.MaxViewers)
			}
			return m, after, nil
		})
		if err != nil {
			return err
		}
		stream = row.View()
		return nil
	})
	return stream, err
}

// RotateKeys implements siaran.Listing.
func (f *Listing) RotateKeys(ctx context.Context, name siaran.StreamName) (generation int, err error) {
	err = f.do(ctx, "rotate the keys of a stream", func(ctx context.Context) error {
		row, err := f.edit(ctx, name, func(_ *transaction, r live.Row) (fields, rights, error) {
			return fields{"updatedAt": f.clock.now()}, rights{r.Owner, r.KeyGeneration + 1}, nil
		})
		generation = row.KeyGeneration
		return err
	})
	return generation, err
}

// Claim implements siaran.Listing.
func (f *Listing) Claim(ctx context.Context, name siaran.StreamName, node, owner string, most int) error {
	return f.do(ctx, "claim a stream", func(ctx context.Context) error {
		if most > 0 && owner != "" {
			unlock, err := f.owners.take(ctx, owner)
			if err != nil {
				return err
			}
			defer unlock()
		}
		_, err := f.edit(ctx, name, func(tx *transaction, r live.Row) (fields, rights, error) {
			stream, after := r.View(), rightsIn(r)
			if err := live.CheckClaim(stream, node, owner); err != nil || owner == "" || stream.Owner == owner {
				return nil, after, err
			}
			if most > 0 {
				kept, err := f.owns(tx, owner, most)
				if err != nil {
					return nil, after, err
				}
				if kept >= most {
					return nil, after, siaran.ErrTooManyNames
				}
			}
			after.owner = owner
			return nil, after, nil
		})
		return err
	})
}
