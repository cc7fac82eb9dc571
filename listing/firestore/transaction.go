package firestore

import (
	"context"
	"slices"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// get reads one document. If there is none, the snapshot does not exist.
func (f *Listing) get(ctx context.Context, ref *firestore.DocumentRef) (*firestore.DocumentSnapshot, error) {
	snap, err := ref.Get(ctx)
	f.stats.reads.Add(1)
	if status.Code(err) == codes.NotFound && snap != nil {
		return snap, nil
	}
	return snap, err
}

// getAll reads documents. The snapshots of those that do not exist say so.
func (f *Listing) getAll(ctx context.Context, refs []*firestore.DocumentRef) ([]*firestore.DocumentSnapshot, error) {
	var list []*firestore.DocumentSnapshot
	for some := range slices.Chunk(refs, sweepBatch) {
		snaps, err := f.client.GetAll(ctx, some)
		f.stats.reads.Add(uint64(len(some)))
		if err != nil {
			return nil, err
		}
		list = append(list, snaps...)
	}
	return list, nil
}

// query reads all that q finds.
func (f *Listing) query(ctx context.Context, q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	list, err := q.Documents(ctx).GetAll()
	f.stats.reads.Add(uint64(max(1, len(list)))) // an empty result is billed as one read
	return list, err
}

// transaction is a firestore.Transaction that counts its documents.
type transaction struct {
	*firestore.Transaction
	f               *Listing
	writes, deletes uint64 // of the attempt that runs
}

func (tx *transaction) read(ref *firestore.DocumentRef) (*firestore.DocumentSnapshot, error) {
	list, err := tx.readAll([]*firestore.DocumentRef{ref})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// readAll returns a snapshot for each, whether it exists or not.
func (tx *transaction) readAll(refs []*firestore.DocumentRef) ([]*firestore.DocumentSnapshot, error) {
	tx.f.stats.reads.Add(uint64(len(refs)))
	return tx.GetAll(refs)
}

// query makes the transaction fail, and be tried again, if its result changes before the transaction ends.
func (tx *transaction) query(q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	list, err := tx.Documents(q).GetAll()
	tx.f.stats.reads.Add(uint64(max(1, len(list)))) // an empty result is billed as one read
	return list, err
}

func (tx *transaction) create(ref *firestore.DocumentRef, m fields) error {
	tx.writes++
	return tx.Create(ref, map[string]any(m))
}

func (tx *transaction) set(ref *firestore.DocumentRef, m fields) error {
	tx.writes++
	return tx.Set(ref, map[string]any(m))
}

func (tx *transaction) update(ref *firestore.DocumentRef, m fields) error {
	tx.writes++
	return tx.Update(ref, m.updates())
}

// save sets some fields of a document that was read. A document that does not exist is created with the fields in
// initial as well.
func (tx *transaction) save(read *firestore.DocumentSnapshot, initial, set fields) error {
	switch {
	case !read.Exists():
		for k, v := range set {
			initial[k] = v
		}
		return tx.create(read.Ref, initial)
	case len(set) > 0:
		return tx.update(read.Ref, set)
	}
	return nil
}

func (tx *transaction) remove(ref *firestore.DocumentRef) error {
	tx.deletes++
	return tx.Delete(ref)
}

const transactionAttempts = 10

// transact runs call in a transaction; it may be called several times. It returns when the writes took effect, by the
// database's clock; the zero time if nothing was written.
func (f *Listing) transact(ctx context.Context, call func(tx *transaction) error) (time.Time, error) {
	var writes, deletes uint64
	var response firestore.CommitResponse
	err := f.client.RunTransaction(ctx, func(_ context.Context, inner *firestore.Transaction) error {
		tx := &transaction{Transaction: inner, f: f}
		err := call(tx)
		writes, deletes = tx.writes, tx.deletes
		return err
	}, firestore.MaxAttempts(transactionAttempts), firestore.WithCommitResponseTo(&response))
	if err != nil {
		return time.Time{}, err
	}
	f.stats.writes.Add(writes)
	f.stats.deletes.Add(deletes)
	if writes+deletes == 0 {
		return time.Time{}, nil
	}
	return response.CommitTime(), nil
}
