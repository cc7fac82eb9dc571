package firestore

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"siaran"
	"siaran/listing"
	"siaran/listing/internal/live"
)

// mirror is what is live on all servers, in this server's memory. Listeners feed it, on the streams and on what servers
// say of themselves, and a question for leases now and then. It serves everyone who reads what is live, and everyone
// who watches.
type mirror struct {
	f            *Listing
	listenErrors *listenErrors
	grace        time.Duration
	period       time.Duration // between two questions for leases
	changed      chan struct{} // a new set is to be made
	retry        chan struct{} // ends the pause before the listeners are restarted

	warned bool // that the listeners are silent; owned by run

	mu         sync.Mutex
	rows       map[string]mirrored // without leases
	asOf       time.Time           // when rows was what the database held, by its clock
	neighbours map[string]neighbour
	leases     leases
	listed     []siaran.Node   // what living has returned; nil: servers have changed
	heard      [listeners]bool // each listener has delivered everything there is, and still runs
	quiet      time.Time       // since when not all have; zero while they do
	hasSynced  bool            // all have, once, and leases were read
	mine       map[string]bool // the names of this server
	writes     map[siaran.StreamName]ownWrite
	ownLease   struct { // the newest one that this server has written
		node  string
		lease int64
		at    time.Time // when that took effect, by the database's clock
		asOf  time.Time // the listener has delivered what was written until then
		since time.Time // the listener has not delivered it since then; zero when it has
	}
	restart context.CancelCauseFunc // ends the listeners, which are then restarted; nil while they do not run

	listedUntil int64 // by when a lease in listed may have run out

	set   *live.Set
	first chan struct{} // closed with the first set
	until int64         // when the first of the leases in set runs out
	built int64
}

// mirrored is a stream's document with its rights, and when it was written.
type mirrored struct {
	row     live.Row
	rights  string // their version
	updated time.Time
	moved   time.Time // when another server than before was seen to have the broadcast
}

// ownWrite is when this server wrote a document that a listener follows.
type ownWrite struct {
	at    time.Time // by the database's clock
	since time.Time // by this machine's
}

// listenLag is how long a listener that runs may take to deliver a write of ours. After that there was nothing to
// deliver: what was written had been undone before the listener saw it. A listener that has stopped is found sooner,
// by our lease.
const listenLag = listing.LeasePeriod

func newMirror(f *Listing, errors *listenErrors, grace, period time.Duration) *mirror {
	return &mirror{
		f: f, listenErrors: errors, grace: grace, period: period, quiet: time.Now(),
		changed: make(chan struct{}, 1), retry: make(chan struct{}, 1), first: make(chan struct{}),
		rows: make(map[string]mirrored), mine: make(map[string]bool), writes: make(map[siaran.StreamName]ownWrite),
	}
}

// expectLease records a lease that this server has written. The listener must deliver it within silentAfter.
func (m *mirror) expectLease(node string, lease int64, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mine[node] = true
	m.ownLease.node, m.ownLease.lease, m.ownLease.at = node, lease, at
	if m.ownLease.since.IsZero() && m.ownLease.asOf.Before(at) {
		m.ownLease.since = time.Now()
	}
}

// wrote records a write of ours to a stream's document that a listener follows.
func (m *mirror) wrote(name siaran.StreamName, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.writes, func(_ siaran.StreamName, w ownWrite) bool { return !m.undelivered(w) })
	if m.writes[name].at.Before(at) {
		m.writes[name] = ownWrite{at, time.Now()}
	}
}

// undelivered reports whether the listener may still have to deliver a write of ours. The caller holds m.mu.
func (m *mirror) undelivered(w ownWrite) bool {
	return m.asOf.Before(w.at) && time.Since(w.since) < listenLag
}

// trusted reports whether memory holds what the database holds. The caller holds m.mu.
func (m *mirror) trusted() bool {
	return m.hasSynced && m.allHeard() && m.f.health.inContact() &&
		m.f.clock.now().Before(m.leases.asked.Add(m.ahead()+leaseMargin))
}

func (m *mirror) allHeard() bool { return !slices.Contains(m.heard[:], false) }

// sync records that all listeners have delivered everything and leases were read, when that is so. The caller holds
// m.mu.
func (m *mirror) sync() {
	if !m.allHeard() {
		return
	}
	m.quiet = time.Time{}
	m.listenErrors.note(nil)
	m.hasSynced = m.hasSynced || !m.leases.asked.IsZero()
}

// leased returns a row with its lease as it is judged now. While the database is away, this server does not take
// itself for dead. The caller holds m.mu.
func (m *mirror) leased(r mirrored) live.Row {
	row := r.row
	lease := m.leaseOf(row.Node)
	if row.LeaseUntil = m.f.valid(lease); row.LeaseUntil == 0 && lease != 0 && m.mine[row.Node] && !m.trusted() {
		row.LeaseUntil = lease
	}
	return row
}

// live returns a stream that is live; false when it has to be looked up in the database.
func (m *mirror) live(name siaran.StreamName) (live.Row, bool) {
	if m.f.strict {
		return live.Row{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.rows[string(name)]
	if !there || m.undelivered(m.writes[name]) {
		return live.Row{}, false
	}
	if !m.trusted() && (m.f.health.inContact() || !m.mine[r.row.Node]) { // our own streams we know without the database
		return live.Row{}, false
	}
	return m.leased(r), true
}

// allLive returns everything whose document says that it is live; false when that has to be looked up in the
// database. With mayLag it may lack what this server has just written.
func (m *mirror) allLive(mayLag bool) ([]live.Row, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() {
		return nil, false
	}
	for _, w := range m.writes {
		if !mayLag && m.undelivered(w) {
			return nil, false
		}
	}
	rows := make([]live.Row, 0, len(m.rows))
	for _, r := range m.rows {
		rows = append(rows, m.leased(r))
	}
	return rows, true
}

// replaced reports whether someone else has put another broadcast into the document in which w was shown.
func (m *mirror) replaced(w writtenState) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !w.shown || w.over || m.f.strict || !m.trusted() {
		return false
	}
	r := m.rows[string(w.state.Stream)].row
	return !m.asOf.Before(w.updated) && (r.Node != w.node || r.BroadcastID != w.state.ID)
}

// dead returns the nodes without a valid lease of which anything is known; false when they have to be looked up in
// the database.
func (m *mirror) dead() ([]string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() {
		return nil, false
	}
	names := make(map[string]bool)
	for name := range m.leases.found {
		names[name] = true
	}
	for name := range m.neighbours {
		names[name] = true
	}
	for _, r := range m.rows {
		names[r.row.Node] = true
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool {
		return name == "" || m.mine[name] || m.f.valid(m.leaseOf(name)) != 0
	})
	return slices.Sorted(maps.Keys(names)), true
}

// own returns this server's names.
func (m *mirror) own() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.mine)
}

// synced reports whether the listeners have once delivered everything, and leases were read.
func (m *mirror) synced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.hasSynced
}

// rebuild makes the set of what is public and live now, and gives it to all watchers if it differs from the last one.
func (m *mirror) rebuild() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.hasSynced {
		return
	}
	m.until, m.built = math.MaxInt64, live.Micros(m.f.clock.now())
	var rows []live.Row
	for _, r := range m.rows {
		row := m.leased(r)
		if row.LeaseUntil == 0 || row.Visibility != siaran.VisibilityPublic {
			continue
		}
		m.until = min(m.until, row.LeaseUntil+leaseMargin.Microseconds())
		rows = append(rows, row)
	}
	if m.until <= m.built { // our own streams, with a lease that has run out while the database is away
		m.until = m.built + time.Second.Microseconds()
	}
	sortRows(rows)
	streams := make([]siaran.Stream, len(rows))
	for i, row := range rows {
		streams[i] = row.View()
	}
	old := m.set
	if old != nil && old.Holds(streams) {
		return
	}
	m.set = live.NewSet(streams)
	if old == nil {
		close(m.first)
	} else {
		old.Supersede()
	}
}

func (m *mirror) newest() (*live.Set, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set, nil
}

// Watch implements siaran.Listing. It waits for a database that cannot be reached.
func (f *Listing) Watch(ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ended.Done():
		return f.explain("watch", siaran.ErrClosed)
	case <-f.mirror.first:
	}
	set, _ := f.mirror.newest()
	err := set.Watch(ctx, f.ended.Done(), f.mirror.newest, snapshot, event)
	if err != nil && ctx.Err() == nil {
		return f.explain("watch", err)
	}
	return err
}
