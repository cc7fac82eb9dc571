package listing

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"siaran"
)

// The times of a lease (and of who writes by it).
const (
	leasePeriod = 15 * time.Second // a node that is silent for so long counts as dead
	renewPeriod = 5 * time.Second
	callTimeout = 3 * time.Second // of one call to the listing
	endTimeout  = 3 * time.Second // to write the last state
	firstRetry  = 250 * time.Millisecond
	lastRetry   = 2 * time.Second
	settleTime  = 10 * time.Second // to look at the streams that are listed of this node
	sweepLimit  = 15 * time.Second // to tidy up after others
	auditAfter  = 5 * time.Second  // after an outage: what was asked during it may have been done late
	indexPause  = time.Minute      // before what lacks an index is tried again: one is built within minutes
)

// Reporter writes what changes in a hub into a listing, and holds the node's lease there.
type Reporter struct {
	hub     *siaran.Hub
	listing siaran.Listing
	node    siaran.Node
	log     *slog.Logger
	lease   time.Duration
	renewal time.Duration
	backlog *backlog

	begun  chan struct{} // closed when our lease has been taken for the first time
	look   chan struct{} // the viewers that are listed of this node are to be looked through
	more   chan struct{} // there is something to write that did not come from the hub
	unable sync.Once     // says that an index is missing

	// owned by Run's goroutine
	settled bool      // the listing knows of this node only what the backlog has written
	held    time.Time // until when our lease is valid at the least
	unseen  bool      // since then nobody has looked through the viewers that are listed of this node
	auditAt time.Time // zero: not due
	renewAt time.Time
	retryAt time.Time
	retry   time.Duration // 0 while all is well
}

// NewReporter makes a reporter for a node of which Name and URL count. The name must be
// the same after a restart and no other's.
func NewReporter(hub *siaran.Hub, l siaran.Listing, node siaran.Node, logger *slog.Logger) *Reporter {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	r := &Reporter{
		hub: hub, listing: l, node: node, log: logger, lease: leasePeriod, renewal: renewPeriod, backlog: newBacklog(),
		begun: make(chan struct{}), look: make(chan struct{}, 1), more: make(chan struct{}, 1),
	}
	r.backlog.pause = pauseOf(l)
	if _, ok := l.(keeper); ok {
		r.backlog.leaves = moreLeaves
	}
	return r
}

// paced is a listing that says how long to wait, at least, between two writes about one broadcast whose status stays.
type paced interface{ countPause() time.Duration }

func pauseOf(l siaran.Listing) time.Duration {
	if p, ok := l.(paced); ok {
		return p.countPause()
	}
	return countPause
}

// keeper is a listing that is too dear, or too slow, for everything of a node to be taken away and written
// anew: what is right stays.
type keeper interface {
	// keep takes away streams and broadcasts of the node that are not in live, which would be live again with the node's lease.
	// Like Sweep it returns how many streams that were. It finds out quickly when nobody answers.
	keep(ctx context.Context, node string, live map[siaran.BroadcastID]bool) (swept int, err error)

	// tidy goes through all viewers that are listed of the node, calls lives for each, and takes those away for whom that
	// is false. It takes its time.
	tidy(ctx context.Context, node string, lives func(siaran.BroadcastID, siaran.ViewerID) bool) error
}

// Run reports until ctx ends; the hub should be closed by then, so that what was live is
// seen to end. It then takes a few seconds at most to write the last state and to give the
// lease back, and returns an error when that did not succeed. A listing that fails
// meanwhile is tried again, and gets the newest state when it is back. Run is called once.
func (r *Reporter) Run(ctx context.Context) error {
	feed := r.hub.Feed()
	defer feed.Close()
	var background sync.WaitGroup
	defer background.Wait()
	background.Go(func() { r.sweepOthers(ctx) })
	if k, ok := r.listing.(keeper); ok {
		background.Go(func() { r.tidyOwn(ctx, k) })
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
		case <-r.more:
		case <-timer.C:
		}
		r.work(ctx)
		timer.Reset(time.Until(r.wakeAt()))
	}
}

func (r *Reporter) take(feed *siaran.Feed) {
	r.backlog.add(feed.Take())
	lost, overflow := r.backlog.trim()
	if lost > 0 {
		r.log.Warn("the listing has been away too long: the ends of some broadcasts will not be in the history", "broadcasts", lost)
	}
	if overflow {
		r.settled = false
	}
	if _, ok := r.listing.(keeper); overflow || !r.settled && !ok {
		r.backlog.forgetLeaves()
	}
}

// work does what is due. It stops at the first failure, to go on from there at retryAt.
func (r *Reporter) work(ctx context.Context) {
	if time.Now().Before(r.retryAt) {
		return
	}
	if err := r.tryWork(ctx); err != nil {
		if ctx.Err() != nil {
			return
		}
		if r.retry == 0 {
			r.log.Warn("the listing fails; what is live goes on, and is listed again when it is back", "error", err)
		}
		r.backlog.failed()
		r.retry = min(max(2*r.retry, firstRetry), lastRetry)
		r.retryAt = time.Now().Add(r.retry)
		return
	}
	if r.retry != 0 {
		r.log.Info("the listing is back")
		if _, ok := r.listing.(keeper); ok {
			r.auditAt = time.Now().Add(auditAfter)
		}
	}
	r.retry, r.retryAt = 0, time.Time{}
}

func (r *Reporter) tryWork(ctx context.Context) error {
	if r.lapsed() || !r.auditAt.IsZero() && !time.Now().Before(r.auditAt) {
		r.settled = false // others may have swept what was ours
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if !time.Now().Before(r.renewAt) {
		if err := r.renew(ctx, time.Now().Add(r.lease)); err != nil {
			return err
		}
	}
	return r.write(ctx, func() bool { return !time.Now().Before(r.renewAt) }) // the lease goes before the rest
}

// settle takes away whatever the listing holds of this node, left by a process before or
// by ourselves before the listing was out of reach, so that what lives can be written anew. Viewers,
// who may be many, wait until the lease is taken where nobody counts them before.
func (r *Reporter) settle(ctx context.Context) error {
	if r.settled {
		return nil
	}
	var swept int
	var err error
	k, keeps := r.listing.(keeper)
	if keeps {
		err = within(ctx, settleTime, func(ctx context.Context) (err error) {
			swept, err = k.keep(ctx, r.node.Name, r.backlog.living())
			return err
		})
	} else {
		err = withTimeout(ctx, func(ctx context.Context) (err error) {
			swept, err = r.listing.Sweep(ctx, r.node.Name)
			return err
		})
	}
	missing := r.lacksIndex(err)
	if err != nil && !missing {
		return fmt.Errorf("tidying up: %w", err)
	}
	if swept > 0 {
		r.log.Info("streams of this server were still listed and have been taken away", "streams", swept)
	}
	r.settled, r.auditAt = true, time.Time{}
	if missing {
		r.auditAt = time.Now().Add(indexPause)
	}
	r.renewAt = time.Time{}
	r.backlog.restart(!keeps)
	r.unseen = true
	return nil
}

// lacksIndex tells errors for which nothing but tidying up has to wait, and says so once.
func (r *Reporter) lacksIndex(err error) bool {
	if !errors.Is(err, errIndex) {
		return false
	}
	r.unable.Do(func() {
		r.log.Warn("what servers have left behind cannot be taken away; all else goes on", "error", err)
	})
	return true
}

// lapsed tells whether our lease may have run out, by the time of day or by the time that has passed: the
// one can be set, the other stands still while a machine sleeps.
func (r *Reporter) lapsed() bool {
	now := time.Now()
	return !now.Before(r.held) || !now.Round(0).Before(r.held.Round(0))
}

func (r *Reporter) renew(ctx context.Context, until time.Time) error {
	node := r.node
	node.LeaseUntil, node.Viewers = until, r.backlog.audience()
	now := time.Now()
	if err := withTimeout(ctx, func(ctx context.Context) error { return r.listing.Renew(ctx, node) }); err != nil {
		return fmt.Errorf("renewing the lease: %w", err)
	}
	if r.held.IsZero() {
		close(r.begun)
	}
	r.held = until
	r.renewAt = now.Add(r.renewal)
	if r.unseen { // nobody else takes anything away from now on
		r.unseen = false
		poke(r.look)
	}
	return nil
}

// write brings the listing up to what is due, or to where it is enough.
func (r *Reporter) write(ctx context.Context, enough func() bool) error {
	for {
		now := time.Now()
		parts := r.backlog.next(now)
		if len(parts) == 0 {
			return nil
		}
		u := siaran.Update{Node: r.node.Name, At: now}
		for _, p := range parts {
			u.Changes = append(u.Changes, p.change)
		}
		if err := withTimeout(ctx, func(ctx context.Context) error { return r.listing.Apply(ctx, u) }); err != nil {
			return fmt.Errorf("writing what has changed: %w", err)
		}
		r.backlog.wrote(parts, now)
		if enough() {
			return nil
		}
	}
}

// wakeAt is when work is next to be called.
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

// finish writes what is left and gives the lease back, as often as it can be tried within endTimeout.
func (r *Reporter) finish() error {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	for pause := firstRetry; ; pause *= 2 {
		err := r.lastWords(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the listing does not know that this server has stopped; its streams go from it within %v: %w", r.lease, err)
		case <-time.After(pause):
		}
	}
}

// lastWords has the streams end before the lease, and viewers after it: these may be many, and nobody counts them any more. Those for
// whom there is no time are swept by another server, or by this one when it comes back.
func (r *Reporter) lastWords(ctx context.Context) error {
	if err := r.settle(ctx); err != nil {
		return err
	}
	r.backlog.hurry()
	if r.backlog.pressing() {
		if err := r.write(ctx, func() bool { return !r.backlog.pressing() }); err != nil {
			return err
		}
	}
	if err := r.renew(ctx, time.Now()); err != nil {
		return err
	}
	if err := r.write(ctx, func() bool { return false }); err != nil {
		r.log.Info("some of those who watched are still listed, where nobody counts them, until they are swept", "error", err)
	}
	return nil
}

// withTimeout calls f with a context of callTimeout.
func withTimeout(ctx context.Context, f func(context.Context) error) error {
	return within(ctx, callTimeout, f)
}

func within(ctx context.Context, limit time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := f(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %v: %w", limit, err)
	}
	return err
}
