package firestore

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
	"google.golang.org/grpc"

	"siaran"
	"siaran/listing"
)

// Presence is how much is written about viewers.
type Presence string

// With PresenceDocuments every viewer has a document while watching. With PresenceCounts only the number of viewers of
// a stream is written. With PresenceOff nothing is written about viewers.
const (
	PresenceDocuments Presence = "documents"
	PresenceCounts    Presence = "counts"
	PresenceOff       Presence = "off"
)

// Config says which database is used, and how.
type Config struct {
	Project     string       // of Firebase; empty: the one of the credentials
	Credentials string       // file of a service account; empty: Google's application default credentials
	Emulator    string       // host:port; empty: the environment's FIRESTORE_EMULATOR_HOST, if it is set
	Presence    Presence     // empty: documents
	Logger      *slog.Logger // nil: none

	// Publisher proves whose a broadcast is to other servers, and to nobody else; see siaran.Whereabouts. nil: nothing
	// does.
	Publisher func(siaran.StreamName, siaran.BroadcastID, string) string

	clock   func() time.Time // judges leases, in place of the database's time
	strict  bool             // every read asks the database
	grace   time.Duration    // in place of listenGrace
	open    time.Duration    // in place of openTimeout
	migrate time.Duration    // in place of migratePause
	ask     time.Duration    // in place of listing.RenewPeriod, between two questions for leases
	dial    []grpc.DialOption
}

const (
	leaseMargin   = 2 * time.Second // beyond a lease, for clocks that differ
	openTimeout   = 5 * time.Second // of the first question to the database
	patience      = 5 * time.Second // of a call that has no deadline
	fairTime      = time.Second / 2 // calls with a shorter deadline do not count as failures of the database
	writePause    = time.Second     // between two writes to one document, as Firestore wants
	writesASecond = 500             // that a new collection takes
)

// Listing is the listing in a database that several servers and any Firebase app share.
type Listing struct {
	client   *firestore.Client
	presence Presence
	log      *slog.Logger
	clock    *clock
	strict   bool
	proof    func(siaran.StreamName, siaran.BroadcastID, string) string
	id       string // of this handle, among those that hold a lease or sweep

	mirror       *mirror
	migrated     atomic.Bool // no stream has rights in its document any more that older servers have written
	migratePause time.Duration
	health       health
	stats        counters
	writeLimiter *rate.Limiter
	sweepLimiter *rate.Limiter // of deletes that nobody waits for
	ledger       writeLedger
	locks        locks // by stream: transactions of one server need not compete
	owners       locks // by owner, for counting an owner's streams; taken before the lock of a stream

	clockWarning sync.Once

	close sync.Once
	ended context.Context // when Close is called
	end   context.CancelFunc
	tasks sync.WaitGroup
}

var (
	_ siaran.Listing     = (*Listing)(nil)
	_ listing.WritePacer = (*Listing)(nil)
	_ listing.Reconciler = (*Listing)(nil)
	_ listing.Readier    = (*Listing)(nil)
	_ listing.Neighbours = (*Listing)(nil)
	_ listing.Metered    = (*Listing)(nil)
)

// Open opens the listing in a Firestore database. It fails if the database can never be used: without credentials or
// with wrong ones, if there is no such project or database, or no right to use it. If the database merely does not
// answer, Open logs a warning and the listing waits for it in the background.
func Open(ctx context.Context, cfg Config) (*Listing, error) {
	if cfg.Presence == "" {
		cfg.Presence = PresenceDocuments
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.grace == 0 {
		cfg.grace = listenGrace
	}
	if cfg.migrate == 0 {
		cfg.migrate = migratePause
	}
	if cfg.open == 0 {
		cfg.open = openTimeout
	}
	if cfg.ask == 0 {
		cfg.ask = listing.RenewPeriod
	}
	var listenErrors listenErrors
	client, err := connect(ctx, cfg, &listenErrors)
	if err != nil {
		return nil, fmt.Errorf("listing in Firestore: %w", err)
	}
	f := newListing(client, cfg)
	if err := f.ask(ctx, cfg.open); err != nil {
		if permanent(err) || ctx.Err() != nil {
			err = f.explain("open", err) // before end, which explain would report instead
			f.end()
			return nil, errors.Join(err, client.Close())
		}
		f.log.Warn("Firestore does not answer; starting without it, will retry", "error", f.explain("open", err))
	}
	f.mirror = newMirror(f, &listenErrors, cfg.grace, cfg.ask)
	f.tasks.Go(f.mirror.run)
	f.tasks.Go(f.migrateRights)
	return f, nil
}

func newListing(client *firestore.Client, cfg Config) *Listing {
	f := &Listing{
		client: client, presence: cfg.Presence, log: cfg.Logger, clock: newClock(cfg.clock), strict: cfg.strict,
		proof:        cfg.Publisher,
		id:           string(siaran.NewViewerID()),
		migratePause: cfg.migrate,
		writeLimiter: rate.NewLimiter(writesASecond, writesASecond),
		sweepLimiter: rate.NewLimiter(sweepsASecond, sweepBatch),
	}
	f.ledger.byID = make(map[siaran.BroadcastID]writtenState)
	for i := range f.locks {
		f.locks[i], f.owners[i] = make(chan struct{}, 1), make(chan struct{}, 1)
	}
	f.ended, f.end = context.WithCancel(context.Background())
	return f
}

// ask reads one document, to find out whether the database can be used.
func (f *Listing) ask(ctx context.Context, limit time.Duration) error {
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

// WritePause implements listing.WritePacer.
func (f *Listing) WritePause() time.Duration { return writePause }

// Close ends all watches and closes the connection. Calls that come later fail with siaran.ErrClosed.
func (f *Listing) Close() error {
	var err error
	f.close.Do(func() {
		f.end()
		f.tasks.Wait()
		err = f.client.Close()
	})
	return err
}

// do is serve for a call that always asks the database.
func (f *Listing) do(ctx context.Context, doing string, call func(ctx context.Context) error) error {
	return f.serve(ctx, doing, func(ctx context.Context) error { return f.asking(ctx, call) })
}

// serve runs one call of the listing: it ends when the listing is closed, and its errors are explained.
func (f *Listing) serve(ctx context.Context, doing string, call func(ctx context.Context) error) error {
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

// asking runs a call that asks the database, and records whether the database answered. ctx has a deadline.
func (f *Listing) asking(ctx context.Context, call func(ctx context.Context) error) error {
	deadline, _ := ctx.Deadline()
	fair := time.Until(deadline) >= fairTime
	err := call(ctx)
	if known(err) {
		f.answered(nil)
	} else if fair || ctx.Err() == nil {
		f.answered(err)
	}
	return err
}

// answered records the database's answer. When the database is back, the listeners may not notice for a minute, so
// they are restarted.
func (f *Listing) answered(err error) {
	if isAnswer(err) {
		err = nil
	}
	if f.health.note(err) && f.mirror != nil {
		f.mirror.restartNow()
	}
}

// known reports whether the error is of the domain, which means that the database has answered.
func known(err error) bool {
	return errors.Is(err, siaran.ErrUnknownStream) || errors.Is(err, siaran.ErrUnknownNode) ||
		errors.Is(err, siaran.ErrStreamLive) || errors.Is(err, siaran.ErrStreamTaken) ||
		errors.Is(err, siaran.ErrNotOwner) || errors.Is(err, siaran.ErrTooManyNames)
}

// explain adds to an error what can be done about it.
func (f *Listing) explain(doing string, err error) error {
	if f.ended.Err() != nil {
		err = siaran.ErrClosed
	} else if help := advice(err); help != nil {
		err = fmt.Errorf("%w (%w)", help, err)
	}
	return fmt.Errorf("listing in Firestore: %s: %w", doing, err)
}

var lockSeed = maphash.MakeSeed()

// locks keep transactions of this server apart that would otherwise make each other start again.
type locks [32]chan struct{}

// take waits for the lock of a key. Several keys share a lock.
func (l *locks) take(ctx context.Context, key string) (unlock func(), err error) {
	one := l[maphash.String(lockSeed, key)%uint64(len(l))]
	select {
	case one <- struct{}{}:
		return func() { <-one }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stats counts documents, which is how Firestore bills.
type Stats struct {
	Writes, Deletes uint64
	Reads           uint64 // including those of the listeners
}

type counters struct{ writes, deletes, reads atomic.Uint64 }

// Stats returns the counts since the listing was opened.
func (f *Listing) Stats() Stats {
	return Stats{Writes: f.stats.writes.Load(), Deletes: f.stats.deletes.Load(), Reads: f.stats.reads.Load()}
}
