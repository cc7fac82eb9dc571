package firestore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/listing/internal/live"
)

const (
	silentAfter = 4 * time.Second // listeners that have not delivered our lease by then are restarted

	listenRetry = 250 * time.Millisecond // before listeners that ended are restarted; doubled each time
	listenPause = 15 * time.Second       // at most: everything that is live is read, and billed, again
	listenCalm  = 30 * time.Second       // listeners that have lasted this long may be restarted without a pause
	listenGrace = 30 * time.Second       // of silence before the server reports that it is not ready
)

var (
	errSilent = errors.New("the listeners have gone silent")
	errBack   = errors.New("the database is back")
)

// run keeps the mirror until the listing is closed.
func (m *mirror) run() {
	var g errgroup.Group
	g.Go(func() error { m.listen(); return nil })
	g.Go(func() error { m.followLeases(); return nil })
	tick := time.NewTicker(live.WatchTick)
	defer tick.Stop()
	for m.f.ended.Err() == nil {
		select {
		case <-m.f.ended.Done():
		case <-m.changed:
			m.rebuild()
		case <-tick.C:
			m.check()
			continue
		}
		select {
		case <-m.f.ended.Done():
		case <-time.After(live.WatchPause):
		}
	}
	_ = g.Wait() // the goroutines return no errors
}

// listen runs the listeners, and restarts them whenever they end.
func (m *mirror) listen() {
	pause, warned := listenRetry, false
	for m.f.ended.Err() == nil {
		begun := time.Now()
		err := m.follow()
		m.lost(err)
		if m.f.ended.Err() != nil {
			return
		}
		if errors.Is(err, errBack) || time.Since(begun) > listenCalm {
			pause, warned = listenRetry, false
		}
		if !warned && !errors.Is(err, errBack) && !errors.Is(err, errSilent) {
			warned = true
			m.f.log.Warn("cannot follow what is live; will retry", "error", m.f.explain("listen", err))
		}
		select {
		case <-m.f.ended.Done():
		case <-m.retry:
		case <-time.After(pause):
		}
		pause = min(2*pause, listenPause)
	}
}

// The listeners, by their index in heard.
const (
	streamListener = iota
	neighbourListener
	ownListener
	listeners
)

// follow runs all listeners until one fails.
func (m *mirror) follow() error {
	ctx, cancel := context.WithCancelCause(m.f.ended)
	defer cancel(nil)
	m.mu.Lock()
	m.restart = cancel
	if !m.ownLease.since.IsZero() {
		m.ownLease.since = time.Now()
	}
	m.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return m.snapshots(ctx, streamListener, m.f.streams().Where("status", "in", liveStatuses), m.takeStreams)
	})
	g.Go(func() error {
		return m.snapshots(ctx, neighbourListener, m.f.neighbours().Query, m.takeNeighbours)
	})
	g.Go(func() error {
		return m.snapshots(ctx, ownListener, m.f.nodes().Where("process", "==", m.f.id), m.takeOwn)
	})
	err := g.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) || errors.Is(cause, errBack) {
		return cause
	}
	return err
}

// snapshots passes each result of q to take, until ctx ends or the listener fails.
func (m *mirror) snapshots(ctx context.Context, which int, q firestore.Query,
	take func(ctx context.Context, docs []*firestore.DocumentSnapshot, asOf time.Time) error,
) (err error) {
	defer func() { // the library panics when the server sends what it does not expect
		if r := recover(); r != nil {
			err = fmt.Errorf("the listener failed: %v", r)
		}
	}()
	it := q.Snapshots(ctx)
	defer it.Stop()
	for {
		snap, err := it.Next()
		if err != nil {
			return err
		}
		docs, err := snap.Documents.GetAll()
		if err != nil {
			return err
		}
		m.f.stats.reads.Add(uint64(len(snap.Changes)))
		if err := take(ctx, docs, snap.ReadTime); err != nil {
			return err
		}
		m.mu.Lock()
		m.heard[which] = true
		m.sync()
		m.mu.Unlock()
		m.f.health.note(nil)
		wake(m.changed)
	}
}

// takeStreams replaces all streams. It reads the rights of those whose document says that they have changed; what it
// reads is at least as new as the document. Only one goroutine at a time calls it, so nobody else replaces m.rows.
func (m *mirror) takeStreams(ctx context.Context, docs []*firestore.DocumentSnapshot, asOf time.Time) error {
	rows := make(map[string]mirrored, len(docs))
	var changed []*live.Row
	var documents []fields
	for _, d := range docs {
		name := nameOf(d.Ref.ID)
		r, known := m.rows[name]
		if known && r.updated.Equal(d.UpdateTime) { // every snapshot has all documents, most of them unchanged
			rows[name] = r
			continue
		}
		document := fields(d.Data())
		before, version := r, document.rightsVersion()
		r = mirrored{row: readStreamDocument(name, document), rights: version, updated: d.UpdateTime, moved: before.moved}
		if before.row.BroadcastID != r.row.BroadcastID {
			r.moved = time.Time{}
		} else if before.row.Node != r.row.Node {
			r.moved = time.Now()
		}
		switch {
		case version == "":
		case known && before.rights == version:
			rightsIn(before.row).putInto(&r.row)
		default:
			changed = append(changed, &live.Row{Stream: siaran.Stream{Name: r.row.Name}})
			documents = append(documents, document)
		}
		rows[name] = r
	}
	if err := m.f.addRights(ctx, changed, documents); err != nil {
		return err
	}
	for _, row := range changed {
		r := rows[string(row.Name)]
		rightsIn(*row).putInto(&r.row)
		rows[string(row.Name)] = r
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asOf, m.rows = asOf, rows
	return nil
}

// wake lets the receiver of c look again.
func wake(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// lost records that the listeners have ended.
func (m *mirror) lost(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = [listeners]bool{}
	m.restart = nil
	if m.quiet.IsZero() {
		m.quiet = time.Now()
	}
	if !errors.Is(err, errBack) && !errors.Is(err, errSilent) {
		m.listenErrors.note(err)
	}
}

// restartNow restarts the listeners without a pause.
func (m *mirror) restartNow() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.restart != nil {
		m.restart(errBack)
	} else {
		wake(m.retry)
	}
}

// silent returns for how long the listeners have not all delivered what there is, and why, if that is known.
func (m *mirror) silent() (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quiet.IsZero() {
		return 0, nil
	}
	return time.Since(m.quiet), m.listenErrors.last()
}

// check does what is due by the time: leases run out, and listeners fall silent. Google's library may take a minute to
// notice that they have.
func (m *mirror) check() {
	m.mu.Lock()
	now := live.Micros(m.f.clock.now())
	old := m.set != nil && (now >= m.until || now < m.built)
	if since := m.ownLease.since; !since.IsZero() && time.Since(since) > silentAfter && m.restart != nil {
		m.ownLease.since = time.Now()
		m.restart(errSilent)
	}
	m.mu.Unlock()
	if old {
		m.rebuild()
	}
	m.warn()
}

// warn logs when the listeners have been silent for long, and when they are back.
func (m *mirror) warn() {
	silent, err := m.silent()
	switch {
	case silent > m.grace && !m.warned:
		m.warned = true
		if err == nil {
			err = errSilent
		}
		m.f.log.Warn("no updates from Firestore: streams on other servers may be out of date; reconnecting",
			"for", silent.Round(time.Second), "error", m.f.explain("listen", err))
	case silent == 0 && m.warned:
		m.warned = false
		m.f.log.Info("updates from Firestore are back")
	}
}
