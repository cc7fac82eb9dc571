package listing

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/time/rate"

	"siaran"
)

// Presence is how much of who watches is written.
type Presence string

// With PresenceDocuments every viewer has a document while watching; with PresenceCounts streams
// have their number of viewers only; with PresenceOff nothing is written about viewers.
const (
	PresenceDocuments Presence = "documents"
	PresenceCounts    Presence = "counts"
	PresenceOff       Presence = "off"
)

// FirestoreConfig says which database and how it is used.
type FirestoreConfig struct {
	Project     string       // of Firebase; empty: the one of the credentials
	Credentials string       // file of a service account; empty: Google's application default credentials
	Emulator    string       // host:port; empty: the environment's FIRESTORE_EMULATOR_HOST, if there is one
	Presence    Presence     // empty: documents
	Logger      *slog.Logger // nil: none

	clock  func() time.Time // of leases, in place of the database's
	strict bool             // every read asks the database
	grace  time.Duration    // in place of listenGrace
	open   time.Duration    // in place of openTimeout
}

const (
	leaseMargin   = 2 * time.Second // beyond a lease, for clocks that differ
	openTimeout   = 5 * time.Second // of the first question to the database
	patience      = 5 * time.Second // of a call that has no deadline
	fairTime      = time.Second / 2 // a call with less says nothing about the database when it is late
	writesASecond = 500             // what Firestore wants a new collection to begin with
)

// Firestore is the listing in a database that several servers and any Firebase app share.
type Firestore struct {
	client   *firestore.Client
	presence Presence
	log      *slog.Logger
	clock    *clock
	strict   bool
	id       string // of this handle, among those that sweep

	mirror *mirror
	health health
	stats  counters
	pace   *rate.Limiter
	broom  *rate.Limiter // of what nobody waits for
	sums   sums
	lists  lists
	recent recent
	locks  [32]chan struct{} // by stream: transactions of one server need not compete

	posts struct {
		mu   sync.Mutex
		byID map[siaran.BroadcastID]post
	}

	clockWarning sync.Once

	close sync.Once
	ended context.Context // when Close is called
	end   context.CancelFunc
	tasks sync.WaitGroup
}

var _ siaran.Listing = (*Firestore)(nil)

// OpenFirestore opens the listing in a Firestore database, and fails when that cannot ever be
// used: no credentials or wrong ones, no such project or database, no right to it. One that
// merely does not answer is waited for in the background, with a warning.
func OpenFirestore(ctx context.Context, cfg FirestoreConfig) (*Firestore, error) {
	if cfg.Presence == "" {
		cfg.Presence = PresenceDocuments
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.grace == 0 {
		cfg.grace = listenGrace
	}
	if cfg.open == 0 {
		cfg.open = openTimeout
	}
	var listeners overheard
	client, err := connectFirestore(ctx, cfg, &listeners)
	if err != nil {
		return nil, fmt.Errorf("listing in Firestore: %w", err)
	}
	f := &Firestore{
		client: client, presence: cfg.Presence, log: cfg.Logger, clock: newClock(cfg.clock), strict: cfg.strict,
		id: string(siaran.NewViewerID()), pace: rate.NewLimiter(writesASecond, writesASecond), broom: rate.NewLimiter(sweepsASecond, sweepBatch),
	}
	f.posts.byID = make(map[siaran.BroadcastID]post)
	f.recent.byName = make(map[siaran.StreamName]lookedUp)
	for i := range f.locks {
		f.locks[i] = make(chan struct{}, 1)
	}
	f.ended, f.end = context.WithCancel(context.Background())
	if err := f.ask(ctx, cfg.open); err != nil {
		if permanent(err) || ctx.Err() != nil {
			err = f.explain("open", err) // which the end would be taken for
			f.end()
			return nil, errors.Join(err, client.Close())
		}
		f.log.Warn("Firestore does not answer; the server starts without it and goes on trying", "error", f.explain("open", err))
	}
	f.mirror = newMirror(f, &listeners, cfg.grace)
	f.sums.init(f)
	f.tasks.Go(f.mirror.run)
	f.tasks.Go(f.sums.run)
	return f, nil
}

// ask reads one document, to find out whether the database can be used.
func (f *Firestore) ask(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	sent := time.Now()
	snap, err := f.get(ctx, f.nodes().Doc("-"))
	if err == nil {
		f.clock.observe(snap.ReadTime, sent)
	}
	f.answered(err)
	return err
}

// countPause implements paced: Firestore wants one document to be written once a second at most.
func (f *Firestore) countPause() time.Duration { return countPause }

// Close ends all watches and lets go of the connection. What is called afterwards fails with siaran.ErrClosed.
func (f *Firestore) Close() error {
	var err error
	f.close.Do(func() {
		f.end()
		f.tasks.Wait()
		err = f.client.Close()
	})
	return err
}

// do is serve for a call that asks the database in any case.
func (f *Firestore) do(ctx context.Context, doing string, call func(ctx context.Context) error) error {
	return f.serve(ctx, doing, func(ctx context.Context) error { return f.asking(ctx, call) })
}

// serve runs one call of the listing: it ends with the listing, and its errors are explained.
func (f *Firestore) serve(ctx context.Context, doing string, call func(ctx context.Context) error) error {
	if f.ended.Err() != nil {
		return f.explain(doing, siaran.ErrClosed)
	}
	if err := ctx.Err(); err != nil {
		return f.explain(doing, err)
	}
	if _, limited := ctx.Deadline(); !limited {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(f.ended, cancel)()
	err := call(ctx)
	if err == nil || known(err) {
		return err
	}
	return f.explain(doing, err)
}

// asking runs what asks the database, and keeps how that does: what comes from memory says nothing about it. ctx has a deadline.
func (f *Firestore) asking(ctx context.Context, call func(ctx context.Context) error) error {
	deadline, _ := ctx.Deadline()
	fair := time.Until(deadline) >= fairTime
	err := call(ctx)
	if known(err) {
		f.answered(nil)
	} else if fair || ctx.Err() == nil { // else it had no chance
		f.answered(err)
	}
	return err
}

// answered keeps how the database does. When it is back, the listeners may not know for a minute, and are begun anew.
func (f *Firestore) answered(err error) {
	if answer(err) {
		err = nil
	}
	if f.health.note(err) && f.mirror != nil {
		f.mirror.again()
	}
}

// known tells errors of the domain, which mean that the database has answered.
func known(err error) bool {
	return errors.Is(err, siaran.ErrUnknownStream) || errors.Is(err, siaran.ErrUnknownNode) || errors.Is(err, siaran.ErrStreamTaken) || errors.Is(err, siaran.ErrNotOwner)
}

// explain says in plain words what can be done about err.
func (f *Firestore) explain(doing string, err error) error {
	if f.ended.Err() != nil {
		err = siaran.ErrClosed
	} else if help := firestoreAdvice(err); help != nil {
		err = fmt.Errorf("%w (%w)", help, err)
	}
	return fmt.Errorf("listing in Firestore: %s: %w", doing, err)
}

var lockSeed = maphash.MakeSeed()

// lock keeps transactions on the same stream apart within this server.
func (f *Firestore) lock(ctx context.Context, name siaran.StreamName) (unlock func(), err error) {
	l := f.locks[maphash.String(lockSeed, string(name))%uint64(len(f.locks))]
	select {
	case l <- struct{}{}:
		return func() { <-l }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// FirestoreStats counts what has been asked of the database, as it is billed: by document.
type FirestoreStats struct {
	Writes, Deletes uint64
	Reads           uint64 // including those by the listeners
}

type counters struct{ writes, deletes, reads atomic.Uint64 }

// Stats returns the counts since the listing was opened.
func (f *Firestore) Stats() FirestoreStats {
	return FirestoreStats{Writes: f.stats.writes.Load(), Deletes: f.stats.deletes.Load(), Reads: f.stats.reads.Load()}
}
