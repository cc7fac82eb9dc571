package listing

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
)

// get reads one document; when there is none, its snapshot does not exist.
func (f *Firestore) get(ctx context.Context, ref *firestore.DocumentRef) (*firestore.DocumentSnapshot, error) {
	snap, err := ref.Get(ctx)
	f.stats.reads.Add(1)
	if status.Code(err) == codes.NotFound && snap != nil {
		return snap, nil
	}
	return snap, err
}

// query reads all that q finds.
func (f *Firestore) query(ctx context.Context, q firestore.Query) ([]*firestore.DocumentSnapshot, error) {
	list, err := q.Documents(ctx).GetAll()
	f.stats.reads.Add(uint64(max(1, len(list)))) // nothing found is billed as one
	return list, err
}

// transaction is firestore.Transaction with its documents counted.
type transaction struct {
	*firestore.Transaction
	f               *Firestore
	writes, deletes uint64 // of the attempt that runs
}

func (tx *transaction) read(ref *firestore.DocumentRef) (*firestore.DocumentSnapshot, error) {
	list, err := tx.readAll([]*firestore.DocumentRef{ref})
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// readAll gives a snapshot for each, whether it exists or not.
func (tx *transaction) readAll(refs []*firestore.DocumentRef) ([]*firestore.DocumentSnapshot, error) {
	tx.f.stats.reads.Add(uint64(len(refs)))
	return tx.GetAll(refs)
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

func (tx *transaction) remove(ref *firestore.DocumentRef) error {
	tx.deletes++
	return tx.Delete(ref)
}

const transactionAttempts = 10

// transact runs call in a transaction; it may be called several times. It returns when what was written
// took effect, by the database's clock; zero when nothing was written.
func (f *Firestore) transact(ctx context.Context, call func(tx *transaction) error) (time.Time, error) {
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

// flush is what goes to the database in one go, each document once and in no order.
type flush struct {
	f       *Firestore
	sets    map[string]set
	deletes map[string]*firestore.DocumentRef
	counts  map[siaran.BroadcastID]viewerCount
}

type set struct {
	ref    *firestore.DocumentRef
	fields fields
}

// viewerCount is to be written to a stream's document, unless anything in it has been changed after seen.
type viewerCount struct {
	ref    *firestore.DocumentRef
	fields fields
	seen   time.Time
}

func (f *Firestore) newFlush() *flush {
	return &flush{f: f, sets: make(map[string]set), deletes: make(map[string]*firestore.DocumentRef), counts: make(map[siaran.BroadcastID]viewerCount)}
}

func (w *flush) set(ref *firestore.DocumentRef, m fields) {
	delete(w.deletes, ref.Path)
	w.sets[ref.Path] = set{ref, m}
}

func (w *flush) remove(ref *firestore.DocumentRef) {
	delete(w.sets, ref.Path)
	w.deletes[ref.Path] = ref
}

// counted is a count that was written, and when.
type counted struct {
	id siaran.BroadcastID
	at time.Time
}

// send writes everything and waits for it. It returns which counts were written and which were
// not, because their documents have been changed by others. The BulkWriter ends with it: one never
// takes the same document twice.
func (w *flush) send(ctx context.Context) (done []counted, refused []siaran.BroadcastID, err error) {
	if len(w.sets)+len(w.deletes)+len(w.counts) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writer := w.f.client.BulkWriter(ctx)
	defer func() { // whoever waits in it goes when the context ends
		if err != nil {
			cancel()
		}
		writer.End()
	}()
	var jobs, countJobs []*firestore.BulkWriterJob
	var ids []siaran.BroadcastID
	add := func(job *firestore.BulkWriterJob, err error) (*firestore.BulkWriterJob, error) {
		if err != nil {
			return nil, err
		}
		jobs = append(jobs, job)
		return job, w.f.pace.Wait(ctx)
	}
	for id, c := range w.counts {
		job, err := add(writer.Update(c.ref, c.fields.updates(), firestore.LastUpdateTime(c.seen)))
		if err != nil {
			return nil, nil, err
		}
		jobs, countJobs, ids = jobs[:len(jobs)-1], append(countJobs, job), append(ids, id)
	}
	for _, s := range w.sets {
		if _, err := add(writer.Set(s.ref, map[string]any(s.fields))); err != nil {
			return nil, nil, err
		}
	}
	for _, ref := range w.deletes {
		if _, err := add(writer.Delete(ref)); err != nil {
			return nil, nil, err
		}
	}
	writer.Flush()
	var errs []error
	for i, job := range countJobs {
		result, err := job.Results()
		switch status.Code(err) {
		case codes.OK:
			done = append(done, counted{ids[i], result.UpdateTime})
		case codes.FailedPrecondition, codes.NotFound:
			refused = append(refused, ids[i])
		default:
			errs = append(errs, err)
		}
	}
	for _, job := range jobs {
		if _, err := job.Results(); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return done, refused, errors.Join(errs[:min(3, len(errs))]...)
	}
	w.f.stats.writes.Add(uint64(len(w.sets) + len(done)))
	w.f.stats.deletes.Add(uint64(len(w.deletes)))
	return done, refused, nil
}
