package firestore

import (
	"context"
	"errors"
	"time"

	"cloud.google.com/go/firestore"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
)

// flush is what goes to the database in one go: each document once, in no order.
type flush struct {
	f       *Listing
	sets    map[string]set
	deletes map[string]*firestore.DocumentRef
	counts  map[siaran.BroadcastID]viewerCount
}

type set struct {
	ref    *firestore.DocumentRef
	fields fields
}

// viewerCount is written to a stream's document, unless the document has changed after seen.
type viewerCount struct {
	ref    *firestore.DocumentRef
	fields fields
	seen   time.Time
}

func (f *Listing) newFlush() *flush {
	return &flush{
		f: f, sets: make(map[string]set), deletes: make(map[string]*firestore.DocumentRef),
		counts: make(map[siaran.BroadcastID]viewerCount),
	}
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

// send writes everything and waits for it. It returns which counts were written, and which were refused because
// someone else has changed their documents. Its BulkWriter is not used again, because one never takes the same
// document twice.
func (w *flush) send(ctx context.Context) (done []counted, refused []siaran.BroadcastID, err error) {
	if len(w.sets)+len(w.deletes)+len(w.counts) == 0 {
		return nil, nil, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	writer := w.f.client.BulkWriter(ctx)
	defer func() { // End waits for what is queued, unless the context has ended
		if err != nil {
			cancel()
		}
		writer.End()
	}()
	jobs, err := w.queue(ctx, writer)
	if err != nil {
		return nil, nil, err
	}
	writer.Flush()
	done, refused, err = jobs.wait()
	if err != nil {
		return done, refused, err
	}
	w.f.stats.writes.Add(uint64(len(w.sets) + len(done)))
	w.f.stats.deletes.Add(uint64(len(w.deletes)))
	return done, refused, nil
}

// flushJobs are the writes of a flush that are under way.
type flushJobs struct {
	counts map[siaran.BroadcastID]*firestore.BulkWriterJob
	others []*firestore.BulkWriterJob
}

// queue gives everything to the writer, no faster than the database wants.
func (w *flush) queue(ctx context.Context, writer *firestore.BulkWriter) (flushJobs, error) {
	jobs := flushJobs{counts: make(map[siaran.BroadcastID]*firestore.BulkWriterJob)}
	for id, c := range w.counts {
		job, err := writer.Update(c.ref, c.fields.updates(), firestore.LastUpdateTime(c.seen))
		if err == nil {
			jobs.counts[id] = job
			err = w.f.writeLimiter.Wait(ctx)
		}
		if err != nil {
			return flushJobs{}, err
		}
	}
	add := func(job *firestore.BulkWriterJob, err error) error {
		if err != nil {
			return err
		}
		jobs.others = append(jobs.others, job)
		return w.f.writeLimiter.Wait(ctx)
	}
	for _, s := range w.sets {
		if err := add(writer.Set(s.ref, map[string]any(s.fields))); err != nil {
			return flushJobs{}, err
		}
	}
	for _, ref := range w.deletes {
		if err := add(writer.Delete(ref)); err != nil {
			return flushJobs{}, err
		}
	}
	return jobs, nil
}

// wait collects the results.
func (j flushJobs) wait() (done []counted, refused []siaran.BroadcastID, err error) {
	var errs []error
	for id, job := range j.counts {
		result, err := job.Results()
		switch status.Code(err) {
		case codes.OK:
			done = append(done, counted{id, result.UpdateTime})
		case codes.FailedPrecondition, codes.NotFound:
			refused = append(refused, id)
		default:
			errs = append(errs, err)
		}
	}
	for _, job := range j.others {
		if _, err := job.Results(); err != nil {
			errs = append(errs, err)
		}
	}
	return done, refused, errors.Join(errs[:min(3, len(errs))]...)
}
