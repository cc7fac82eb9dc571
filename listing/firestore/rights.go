package firestore

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/listing/internal/live"
)

// rights decide who may do what with a stream. They have a document of their own, rights/{name}, because everybody may
// read the document of a public stream, and a document is read whole or not at all.
//
// The stream's document has a field "rights": a random text, which every change of rights replaces in the same
// transaction. It is absent while nobody owns the stream and its keys are the first ones, so such a stream has no
// second document. Who follows streams sees by it when to read rights again.
//
// Older servers kept both fields in the stream's document. They count there as long as "rights" is absent.
type rights struct {
	owner      string
	generation int // of keys
}

// lostRights are those of a stream whose document of rights has been removed by hand: the name is nobody's and not to
// be had, and no key made for it is valid, until an administrator gives it to somebody.
var lostRights = rights{owner: "lost", generation: 1 << 30}

const (
	rightsField     = "rights"
	ownerField      = "owner"
	generationField = "keyGeneration"
)

var errEnough = errors.New("enough has been read")

func (f *Listing) rights() *firestore.CollectionRef { return f.client.Collection("rights") }

func (f *Listing) rightsOf(name siaran.StreamName) *firestore.DocumentRef {
	return f.rights().Doc(documentID(string(name)))
}

// rightsVersion is a stream's field "rights", empty when there is no document of rights.
func (m fields) rightsVersion() string { return m.text(rightsField) }

// rights are those in a document, whichever of the two it is.
func (m fields) rights() rights { return rights{m.text(ownerField), m.number(generationField)} }

// fields are those of the document of rights.
func (r rights) fields() fields {
	return fields{ownerField: r.owner, generationField: int64(r.generation)}
}

// readRightsDocument is what a document of rights says.
func readRightsDocument(snap *firestore.DocumentSnapshot) rights {
	if !snap.Exists() {
		return lostRights
	}
	return fields(snap.Data()).rights()
}

// rightsIn are those of a row that is complete.
func rightsIn(row live.Row) rights { return rights{row.Owner, row.KeyGeneration} }

func (r rights) putInto(row *live.Row) { row.Owner, row.KeyGeneration = r.owner, r.generation }

// addRights completes rows, each with the fields of its stream's document, by what the documents of rights say.
func (f *Listing) addRights(ctx context.Context, rows []*live.Row, documents []fields) error {
	var refs []*firestore.DocumentRef
	var of []*live.Row
	for i, row := range rows {
		if documents[i].rightsVersion() != "" {
			refs, of = append(refs, f.rightsOf(row.Name)), append(of, row)
		}
	}
	snaps, err := f.getAll(ctx, refs)
	for i, snap := range snaps {
		readRightsDocument(snap).putInto(of[i])
	}
	return err
}

// readRights is addRights for one stream in a transaction.
func (f *Listing) readRights(tx *transaction, row *live.Row, document fields) error {
	if document.rightsVersion() == "" {
		return nil
	}
	snap, err := tx.read(f.rightsOf(row.Name))
	if err == nil {
		readRightsDocument(snap).putInto(row)
	}
	return err
}

// putRights writes the rights of a stream where they differ from those before, and adds to set what changes in the
// stream's document, which was read as m. mixed says that older servers run, which know nothing of documents of rights.
func (f *Listing) putRights(
	tx *transaction, name siaran.StreamName, m, set fields, before, after rights, mixed bool,
) error {
	if m.rightsVersion() == "" {
		if mixed {
			if after != before {
				set[ownerField], set[generationField] = after.owner, int64(after.generation)
			}
			return nil
		}
		before = rights{}
	}
	for _, field := range []string{ownerField, generationField} {
		if _, old := m[field]; old {
			set[field] = firestore.Delete
		}
	}
	if after == before {
		return nil
	}
	set[rightsField] = rand.Text()
	return tx.set(f.rightsOf(name), after.fields())
}

// readOwned returns streams of an account, live or not, without their leases.
func (f *Listing) readOwned(ctx context.Context, of siaran.StreamQuery, limit int) ([]live.Row, error) {
	var rows []live.Row
	add := func(snap *firestore.DocumentSnapshot, r rights) {
		row := readStreamDocument(nameOf(snap.Ref.ID), snap.Data())
		r.putInto(&row)
		if snap.Exists() && !row.Removed && (of.Private || row.Visibility == siaran.VisibilityPublic) {
			rows = append(rows, row)
		}
	}
	owned := f.rights().Where(ownerField, "==", of.Owner)
	err := f.pages(ctx, owned, limit, func(kept []*firestore.DocumentSnapshot) error {
		var refs []*firestore.DocumentRef
		for _, snap := range kept {
			refs = append(refs, f.streams().Doc(snap.Ref.ID))
		}
		snaps, err := f.getAll(ctx, refs)
		for i, snap := range snaps {
			add(snap, readRightsDocument(kept[i]))
		}
		if err == nil && len(rows) >= limit {
			err = errEnough
		}
		return err
	})
	if err != nil && err != errEnough {
		return nil, err
	}
	if !f.migrated.Load() {
		snaps, err := f.query(ctx, f.streams().Where(ownerField, "==", of.Owner).Limit(live.MaxLimit))
		if err != nil {
			return nil, err
		}
		for _, snap := range snaps {
			if m := fields(snap.Data()); m.rightsVersion() == "" {
				add(snap, m.rights())
			}
		}
	}
	sortRows(rows)
	return rows[:min(limit, len(rows))], nil
}

// owns returns how many streams an account owns, at least most if they are as many.
func (f *Listing) owns(tx *transaction, owner string, most int) (int, error) {
	snaps, err := tx.query(f.rights().Where(ownerField, "==", owner).Limit(most))
	if err != nil || len(snaps) >= most || f.migrated.Load() {
		return len(snaps), err
	}
	old, err := tx.query(f.streams().Where(ownerField, "==", owner).Limit(most))
	old = slices.DeleteFunc(old, func(s *firestore.DocumentSnapshot) bool {
		return fields(s.Data()).rightsVersion() != ""
	})
	return len(snaps) + len(old), err
}
