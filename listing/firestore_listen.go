package listing

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"cloud.google.com/go/firestore"
	"golang.org/x/sync/errgroup"
)

// run keeps the mirror until the listing is closed.
func (m *mirror) run() {
	var g errgroup.Group
	g.Go(func() error { m.listen(); return nil })
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	for m.f.ended.Err() == nil {
		select {
		case <-m.f.ended.Done():
		case <-m.changed:
			m.rebuild()
			m.f.sums.poke()
		case <-tick.C:
			m.check()
			continue
		}
		select {
		case <-m.f.ended.Done():
		case <-time.After(watchPause):
		}
	}
	g.Wait()
}

// listen runs the listeners, again and again.
func (m *mirror) listen() {
	pause, warned := firstRetry, false
	for m.f.ended.Err() == nil {
		begun := time.Now()
		err := m.follow()
		m.lost(err)
		if m.f.ended.Err() != nil {
			return
		}
		if errors.Is(err, errAgain) || time.Since(begun) > listenCalm {
			pause, warned = firstRetry, false
		}
		if !warned && !errors.Is(err, errAgain) && !errors.Is(err, errDeaf) {
			warned = true
			m.f.log.Warn("what is live cannot be followed; trying again", "error", m.f.explain("listen", err))
		}
		select {
		case <-m.f.ended.Done():
		case <-m.retry:
		case <-time.After(pause):
		}
		pause = min(2*pause, listenPause)
	}
}

var (
	errDeaf  = errors.New("the listener tells nothing any more")
	errAgain = errors.New("the database is back")
)

// follow runs both listeners until one fails.
func (m *mirror) follow() error {
	ctx, cancel := context.WithCancelCause(m.f.ended)
	defer cancel(nil)
	m.mu.Lock()
	m.deaf = cancel
	if !m.await.since.IsZero() {
		m.await.since = time.Now()
	}
	m.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return m.snapshots(ctx, 0, m.f.streams().Where("status", "in", liveStatuses), m.takeStreams)
	})
	g.Go(func() error { return m.snapshots(ctx, 1, m.f.client.CollectionGroup("nodes").Query, m.takeNodes) })
	g.Go(func() error {
		if err := m.secondLook(ctx); err != nil {
			return err
		}
		return m.watchWrites(ctx)
	})
	err := g.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, errDeaf) || errors.Is(cause, errAgain) {
		return cause
	}
	return err
}

// snapshots feeds take with each result of q until ctx ends or the listener fails.
func (m *mirror) snapshots(ctx context.Context, which int, q firestore.Query, take func(docs []*firestore.DocumentSnapshot, asOf time.Time)) (err error) {
	defer func() { // the library asserts what the server tells it
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
		m.mu.Lock()
		take(docs, snap.ReadTime)
		m.heard[which] = true
		if m.heard[0] && m.heard[1] {
			m.ever, m.quiet = true, time.Time{}
			m.listeners.note(nil)
		}
		m.mu.Unlock()
		m.f.health.note(nil)
		m.poke()
	}
}

// takeStreams replaces all streams. The caller holds m.mu.
func (m *mirror) takeStreams(docs []*firestore.DocumentSnapshot, asOf time.Time) {
	m.asOf = asOf
	old := m.rows
	m.rows = make(map[string]mirrored, len(docs))
	for _, d := range docs {
		name := nameOf(d.Ref.ID)
		r, known := old[name]
		if !known || !r.updated.Equal(d.UpdateTime) { // each change comes with all there is
			r = mirrored{readStreamDocument(name, d.Data()), d.UpdateTime}
		}
		m.rows[name] = r
	}
}

// takeNodes replaces all leases and counts. The caller holds m.mu.
func (m *mirror) takeNodes(docs []*firestore.DocumentSnapshot, _ time.Time) {
	clear(m.leases)
	clear(m.nodes)
	clear(m.counts)
	for _, d := range docs {
		name, content := nameOf(d.Ref.ID), fields(d.Data())
		if stream := d.Ref.Parent.Parent; stream != nil {
			m.counts[countKey{nameOf(stream.ID), name}] = edgeCount{content.text("broadcastId"), content.number("viewers")}
		} else {
			m.leases[name] = content.time("leaseUntil")
			m.nodes[name] = readNodeDocument(name, content)
		}
	}
	if m.leases[m.await.node] >= m.await.lease {
		m.await.since = time.Time{}
	}
}

func (m *mirror) poke() { poke(m.changed) }

// lost says that the listeners have ended.
func (m *mirror) lost(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.heard = [2]bool{}
	m.deaf = nil
	if m.quiet.IsZero() {
		m.quiet = time.Now()
	}
	if !errors.Is(err, errAgain) && !errors.Is(err, errDeaf) {
		m.listeners.note(err)
	}
}

// secondLook compares what the listeners have told with the database, once after they began. The emulator misses what is
// written in the moment in which a listener begins, and never tells it. Listeners that are merely slow are waited for.
func (m *mirror) secondLook(ctx context.Context) error {
	for told := false; !told; told = m.told() {
		if !sleep(ctx, lookPause) {
			return nil
		}
	}
	before := m.all()
	streams, err := m.f.query(ctx, m.f.streams().Where("status", "in", liveStatuses))
	if err != nil {
		return nil // the listeners will say so too
	}
	nodes, err := m.f.query(ctx, m.f.nodes().Query)
	if err != nil {
		return nil
	}
	for _, snap := range streams {
		delete(before, nameOf(snap.Ref.ID))
	}
	for deadline := time.Now().Add(lookTime); m.has(before) || !m.knows(streams, nodes); { // it may have been written just now
		if time.Now().After(deadline) {
			return errDeaf
		}
		if !sleep(ctx, lookPause) {
			return nil
		}
	}
	return nil
}

// watchWrites has the listeners begun anew when they do not tell what we have written. They tell nothing of what has been taken back
// before they could; that is looked up.
func (m *mirror) watchWrites(ctx context.Context) error {
	for sleep(ctx, deafAfter) {
		for _, name := range m.overdue() {
			snap, err := m.f.get(ctx, m.f.stream(name))
			if err == nil && !m.agrees(name, snap) {
				return errDeaf
			}
		}
	}
	return nil
}

// told tells whether both listeners have told all there is.
func (m *mirror) told() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.heard[0] && m.heard[1]
}

// knows tells whether memory is as new as these documents.
func (m *mirror) knows(streams, nodes []*firestore.DocumentSnapshot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, snap := range streams {
		if m.rows[nameOf(snap.Ref.ID)].updated.Before(snap.UpdateTime) {
			return false
		}
	}
	for _, snap := range nodes {
		if m.leases[nameOf(snap.Ref.ID)] < fields(snap.Data()).time("leaseUntil") {
			return false
		}
	}
	return true
}

// all is what memory holds of streams.
func (m *mirror) all() map[string]mirrored {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.rows)
}

// has tells whether any of these rows is still there as it was.
func (m *mirror) has(rows map[string]mirrored) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, r := range rows {
		if now, there := m.rows[name]; there && now.updated.Equal(r.updated) {
			return true
		}
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
