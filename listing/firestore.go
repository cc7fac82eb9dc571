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
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

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
}

const (
	leaseMargin   = 2 * time.Second // beyond a lease, for clocks that differ
	openTimeout   = 5 * time.Second // of the first question to the database
	patience      = 5 * time.Second // of a call that has no deadline
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
	sums   sums
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
	client, err := connectFirestore(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("listing in Firestore: %w", err)
	}
	f := &Firestore{
		client: client, presence: cfg.Presence, log: cfg.Logger, clock: newClock(cfg.clock), strict: cfg.strict,
		id: string(siaran.NewViewerID()), pace: rate.NewLimiter(writesASecond, writesASecond),
	}
	f.posts.byID = make(map[siaran.BroadcastID]post)
	for i := range f.locks {
		f.locks[i] = make(chan struct{}, 1)
	}
	f.ended, f.end = context.WithCancel(context.Background())
	if err := f.ask(ctx, openTimeout); err != nil {
		if permanent(err) || ctx.Err() != nil {
			err = f.explain("open", err) // which the end would be taken for
			f.end()
			return nil, errors.Join(err, client.Close())
		}
		f.log.Warn("Firestore does not answer; the server starts without it and goes on trying", "error", f.explain("open", err))
	}
	f.mirror = newMirror(f)
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

// do runs one call of the listing: it ends with the listing, and its errors are explained.
func (f *Firestore) do(ctx context.Context, doing string, call func(ctx context.Context) error) error {
	if f.ended.Err() != nil {
		return f.explain(doing, siaran.ErrClosed)
	}
	limit := patience
	if deadline, ok := ctx.Deadline(); ok {
		limit = time.Until(deadline)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(f.ended, cancel)()
	err := call(ctx)
	if known(err) {
		f.answered(nil)
		return err
	}
	f.answered(err)
	if err != nil {
		return f.explain(doing, err)
	}
	return nil
}

// answered keeps how the database does. When it is back, the listeners may not know for a minute, and are begun anew.
func (f *Firestore) answered(err error) {
	if err != nil && firestoreAdvice(err) == errIndex {
		err = nil // an answer, too
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

// health is how the database has answered of late.
type health struct {
	mu     sync.Mutex
	failed error     // of the newest answer
	since  time.Time // failed without a break since
	heard  time.Time // the newest good answer
}

const (
	contactEvery = renewPeriod + callTimeout // a database that is there is heard of as often
	unreadyAfter = leasePeriod               // without an answer for so long, streams of others cannot be shown any more
)

// note takes an answer and tells whether it is the first good one after a time without.
func (h *health) note(err error) (back bool) {
	if errors.Is(err, context.Canceled) || status.Code(err) == codes.Canceled {
		return false // whoever asked has gone, which says nothing about the database
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if err == nil {
		back = h.failed != nil && time.Since(h.since) > time.Second
		h.failed, h.heard = nil, time.Now()
		return back
	}
	if h.failed == nil {
		h.since = time.Now()
	}
	h.failed = err
	return false
}

func (h *health) inContact() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failed == nil && time.Since(h.heard) < contactEvery
}

// Ready is nil, or the reason in plain words for which the listing cannot be relied on.
func (f *Firestore) Ready(context.Context) error {
	f.health.mu.Lock()
	failed, since := f.health.failed, f.health.since
	f.health.mu.Unlock()
	switch {
	case failed == nil && f.mirror.synced():
		return nil
	case failed == nil:
		return errors.New("the list of streams has not been read from Firestore yet")
	case permanent(failed):
		return fmt.Errorf("the list of streams in Firestore cannot be used: %v", plainReason(failed))
	case time.Since(since) < unreadyAfter && f.mirror.synced():
		return nil
	}
	return fmt.Errorf("Firestore has not answered for %v: %v", time.Since(since).Round(time.Second), plainReason(failed))
}
