package listing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"siaran"
	"siaran/internal/measure"
)

// The times of a lease.
const (
	LeasePeriod = 15 * time.Second // a node that is silent for this long counts as dead
	RenewPeriod = LeasePeriod / renewals
	CallTimeout = 3 * time.Second // of one call to the listing
)

const (
	renewals   = 3 // within a lease
	loadSteps  = 20
	loadPause  = time.Second
	firstRetry = 250 * time.Millisecond
	lastRetry  = 2 * time.Second
	auditAfter = 5 * time.Second // after an outage: the database may have done late what was asked during it
)

// Reporter writes what changes in a hub to a listing, and holds the node's lease there.
//
// This is what Run does, apart from taking the hub's feed:
//
//	start ──► UNSETTLED ──settle──► SETTLED ──renew──► LEASED ──write──► IDLE
//	              ▲                                       ▲               │
//	              │                                       ├─ renewAt ─────┤
//	              │                                       └─ a change ────┤
//	              └─ lapsed, auditAt, more leaves than are kept ──────────┘
//
// A step that fails is tried again after a pause of 250 ms to 2 s. When the context ends, the reporter settles, writes
// what is urgent, gives the lease back and writes the rest (finish).
//
// settle corrects what the listing holds of this node, left by an earlier process or changed by others while we could
// not reach it. Without a Reconciler it sweeps everything of the node, and the backlog is written again with all
// viewers. With one it ends what does not live, and the backlog is written again without viewers; reconcileViewers
// corrects those in the background, after the next renewal.
type Reporter struct {
	hub        *siaran.Hub
	listing    siaran.Listing
	reconciler Reconciler // the listing, if it is one
	node       siaran.Node
	load       func(*siaran.Node)
	log        *slog.Logger
	lease      time.Duration
	renewal    time.Duration
	backlog    *backlog
	now        func() time.Time // time.Now, except in tests that set the clock

	calls callCounters

	begun  chan struct{} // closed when our lease has been taken for the first time
	look   chan struct{} // the viewers that are listed for this node are to be reconciled
	more   chan struct{} // there is something to write that did not come from the hub
	unable sync.Once     // warns that an index is missing

	written chan struct{} // closed when everything has been written for the first time
	wrote   sync.Once

	// owned by Run's goroutine
	settled bool      // the listing knows of this node only what the backlog has written
	held    time.Time // our lease is valid at least until then
	unseen  bool      // settled, but the viewers that are listed for this node have not been reconciled since
	auditAt time.Time // when to settle again; zero: not due
	renewAt time.Time
	renewed time.Time   // the last time
	told    siaran.Node // by the lease that was written last
	retryAt time.Time
	retry   time.Duration // 0 while all is well
}

// Option changes how a reporter works.
type Option func(*Reporter)

// WithLease sets the length of the lease, which is 15 seconds by default. It is renewed three times as often. It is for
// tests, which do not wait for so long.
func WithLease(d time.Duration) Option {
	return func(r *Reporter) { r.lease, r.renewal = d, d/renewals }
}

// WithLoad sets what the lease says of the node's load: how many viewers it has, also of streams that come from other
// servers, the capacity and how much of it is in use, and whether it drains. If the load has changed by a twentieth of
// the capacity, or the node is full, has room again or begins to drain, the lease is renewed ahead of its time, at most
// once a second.
func WithLoad(load func(*siaran.Node)) Option {
	return func(r *Reporter) { r.load = load }
}

// NewReporter returns a reporter for a node. Of the node, Name, URL, Region and Capacity count. The name must be the
// same after a restart, and no other server may have it.
func NewReporter(hub *siaran.Hub, l siaran.Listing, node siaran.Node, logger *slog.Logger, options ...Option,
) *Reporter {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &Reporter{
		hub: hub, listing: l, node: node, log: logger, lease: LeasePeriod, renewal: RenewPeriod,
		backlog: newBacklog(), now: time.Now, calls: callCounters{took: measure.New(measure.Joins)},
		begun: make(chan struct{}), written: make(chan struct{}), look: make(chan struct{}, 1), more: make(chan struct{}, 1),
	}
	r.load = func(n *siaran.Node) { n.Viewers = r.backlog.audience() }
	for _, o := range options {
		o(r)
	}
	if p, ok := l.(WritePacer); ok {
		r.backlog.pause = p.WritePause()
	}
	if r.reconciler, _ = l.(Reconciler); r.reconciler != nil {
		r.backlog.leaves = moreLeaves
	}
	return r
}

// Written returns a channel that is closed when the listing knows for the first time what was live when Run began.
func (r *Reporter) Written() <-chan struct{} { return r.written }

// Run reports until ctx ends. The hub should be closed by then, so that the ends of its broadcasts are reported. Run
// then takes a few seconds at most to write the last state and to give the lease back, and returns an error if that
// fails. While the listing fails, Run tries again and again; when the listing is back, it gets the newest state. Run
// is called once.
func (r *Reporter) Run(ctx context.Context) error {
	feed := r.hub.Feed()
	defer feed.Close()
	r.take(feed) // what is live already goes with the first write: see Written
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { r.sweepOthers(ctx) })
	if r.reconciler != nil {
		background.Go(func() { r.reconcileViewers(ctx) })
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.backlog.add(feed.Take())
			return r.finish()
		case <-feed.Ready():
			r.take(feed)
			r.hasten()
		case <-r.more:
			r.hasten()
		case <-timer.C:
		}
		r.work(ctx)
		timer.Reset(time.Until(r.wakeAt()))
	}
}

// Hasten has the lease written soon if the load has changed much, or the node drains.
func (r *Reporter) Hasten() { poke(r.more) }

// hasten renews the lease ahead of its time if it says what is far from true.
func (r *Reporter) hasten() {
	now, told := r.node, r.told
	r.load(&now)
	few := now.Capacity == 0 || max(now.Viewers-told.Viewers, told.Viewers-now.Viewers)*loadSteps < now.Capacity
	if few && now.Draining == told.Draining && now.Capacity == told.Capacity && (now.Use < 1) == (told.Use < 1) {
		return
	}
	if at := r.renewed.Add(loadPause); at.Before(r.renewAt) {
		r.renewAt = at
	}
}

func (r *Reporter) take(feed *siaran.Feed) {
	if r.backlog.add(feed.Take()) {
		r.settled = false
	}
	lost, overflow := r.backlog.trim()
	if lost > 0 {
		r.log.Warn("the listing was away too long: the ends of some broadcasts will not be in the history",
			"broadcasts", lost)
	}
	if overflow {
		r.settled = false
	}
	if overflow || !r.settled && r.reconciler == nil {
		r.backlog.forgetLeaves()
	}
}

// work does what is due. It stops at the first failure, and goes on from there at retryAt.
func (r *Reporter) work(ctx context.Context) {
	if r.now().Before(r.retryAt) {
		return
	}
	if err := r.tryWork(ctx); err != nil {
		if ctx.Err() != nil {
			return
		}
		if r.retry == 0 {
			r.log.Warn("cannot write to the listing; broadcasts go on, and are listed again when it is back",
				"error", err)
		}
		r.backlog.failed()
		r.retry = min(max(2*r.retry, firstRetry), lastRetry)
		r.calls.failing.Store(true)
		r.retryAt = r.now().Add(r.retry)
		return
	}
	r.wrote.Do(func() { close(r.written) })
	if r.retry != 0 {
		r.log.Info("the listing is back")
		if r.reconciler != nil {
			r.auditAt = r.now().Add(auditAfter)
		}
	}
	r.retry, r.retryAt = 0, time.Time{}
	r.calls.failing.Store(false)
}

// wakeAt returns when work is to be called next.
func (r *Reporter) wakeAt() time.Time {
	if r.retry != 0 {
		return r.retryAt
	}
	at := r.renewAt
	if due, any := r.backlog.due(); any && due.Before(at) {
		at = due
	}
	if !r.auditAt.IsZero() && r.auditAt.Before(at) {
		at = r.auditAt
	}
	return at
}
