package firestore

import (
	"context"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

const (
	migrateBatch = 50               // streams in one transaction
	migratePause = 15 * time.Second // until it is tried again, or looked again whether older servers have gone
)

// migrateRights moves what older servers have written of rights to documents of their own, until the listing is closed.
// It begins when no older server has a valid lease, because to such a server a stream without these fields belongs to
// nobody. Once all is moved it costs nothing, unless an older server comes again.
func (f *Listing) migrateRights() {
	select {
	case <-f.ended.Done():
		return
	case <-f.mirror.first:
	}
	for {
		switch older, known := f.mirror.olderServers(); {
		case older:
			f.migrated.Store(false)
		case known && !f.migrated.Load():
			if err := f.migrateAll(f.ended); err == nil {
				f.migrated.Store(true)
			} else if f.ended.Err() == nil {
				f.log.Warn("cannot move owners and key generations to documents of their own; will retry",
					"error", f.explain("move rights", err))
			}
		}
		select {
		case <-f.ended.Done():
			return
		case <-time.After(f.migratePause):
		}
	}
}

// migrateAll goes through all streams that have one of the old fields.
func (f *Listing) migrateAll(ctx context.Context) error {
	for _, field := range []string{generationField, ownerField} {
		for {
			call, cancel := context.WithTimeout(ctx, patience)
			snaps, err := f.query(call, f.streams().OrderBy(field, firestore.Asc).Limit(migrateBatch))
			if err == nil && len(snaps) > 0 {
				err = f.waitToDelete(ctx, 2*len(snaps))
			}
			cancel()
			if err != nil {
				return err
			}
			if len(snaps) == 0 {
				break
			}
			if err := f.migrate(ctx, snaps); err != nil {
				return err
			}
		}
	}
	return nil
}

// migrate moves the rights of some streams, in a transaction.
func (f *Listing) migrate(ctx context.Context, found []*firestore.DocumentSnapshot) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var refs []*firestore.DocumentRef
	for _, snap := range found {
		refs = append(refs, snap.Ref)
	}
	_, err := f.transact(ctx, func(tx *transaction) error {
		snaps, err := tx.readAll(refs)
		if err != nil {
			return err
		}
		for _, snap := range snaps {
			m, set := fields(snap.Data()), fields{}
			name := siaran.StreamName(nameOf(snap.Ref.ID))
			r := m.rights() // where a document of rights exists, these do not count and are removed
			if err := f.putRights(tx, name, m, set, r, r, false); err != nil {
				return err
			}
			if len(set) > 0 {
				if err := tx.update(snap.Ref, set); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return err
}

// olderServers reports whether servers with a valid lease are among us that do not know of documents of rights. Then
// what is not in such a document yet stays where they look for it.
func (f *Listing) olderServers(ctx context.Context) (bool, error) {
	if older, known := f.mirror.olderServers(); known {
		return older, nil
	}
	snaps, err := f.query(ctx, f.nodes().Query)
	for _, snap := range snaps {
		if m := fields(snap.Data()); isOlder(m) && f.valid(m.time("leaseUntil")) != 0 {
			return true, err
		}
	}
	return false, err
}

// isOlder reports whether a server's document is of one that does not know of documents of rights.
func isOlder(node fields) bool {
	knows, _ := node[rightsField].(bool)
	return !knows
}

// olderServers is Listing's, from memory; known says whether that can be relied on.
func (m *mirror) olderServers() (older, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.trusted() {
		return false, false
	}
	for name := range m.leases.rightless {
		older = older || m.f.valid(m.leaseOf(name)) != 0
	}
	return older, true
}
