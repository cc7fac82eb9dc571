package listing

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
)

const (
	lookPause = 500 * time.Millisecond
	lookTime  = 1500 * time.Millisecond // for a listener to tell what is in the database already
	deafAfter = 4 * time.Second         // a listener that has not told by then what we have written is begun anew

	listenCalm  = 30 * time.Second // listeners that have lasted so long may be begun anew at once
	listenPause = 15 * time.Second // at most, before they are: all that is live is read, and billed, again
	listenGrace = 30 * time.Second // that they may be silent before the server says that it is not ready
)

// mirror is what is live on all servers, in this server's memory. It is fed by a listener on the
// streams and one on everything called nodes, which are leases and counts, and serves all who watch.
type mirror struct {
	f         *Firestore
	listeners *overheard
	grace     time.Duration
	changed   chan struct{}
	retry     chan struct{} // ends the pause before the listeners are begun anew

	said bool // of run: that they are silent

	mu     sync.Mutex
	rows   map[string]mirrored // without leases
	asOf   time.Time           // of the database, what rows hold
	leases map[string]int64
	nodes  map[string]siaran.Node // what else is said of those with a lease
	counts map[countKey]edgeCount
	heard  [2]bool   // the listeners have told all there is, and still run
	quiet  time.Time // since when not both have; zero while they do
	ever   bool      // both have once
	mine   map[string]bool
	writes map[siaran.StreamName]time.Time // of our own, to documents that a listener follows
	await  struct {                        // our own lease, as the listener should tell it
		node  string
		lease int64
		since time.Time
	}
	deaf context.CancelCauseFunc // ends the listeners, which are then begun anew; nil while they do not run

	set   *liveSet
	first chan struct{} // closed with the first set
	until int64         // when the first of the leases in set runs out
	built int64
}

// mirrored is a document, and when it was written.
type mirrored struct {
	row     streamRow
	updated time.Time
}

type countKey struct{ stream, node string }

type edgeCount struct {
	broadcast string
	viewers   int
}

func newMirror(f *Firestore, listeners *overheard, grace time.Duration) *mirror {
	return &mirror{
		f: f, listeners: listeners, grace: grace, quiet: time.Now(), changed: make(chan struct{}, 1), retry: make(chan struct{}, 1), first: make(chan struct{}), rows: make(map[string]mirrored), leases: make(map[string]int64), nodes: make(map[string]siaran.Node),
		counts: make(map[countKey]edgeCount), mine: make(map[string]bool), writes: make(map[siaran.StreamName]time.Time),
	}
}

// expect says which lease of ours is in the database: the listener must tell it before long.
func (m *mirror) expect(node string, lease int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mine[node] = true
	m.await.node, m.await.lease = node, lease
	if m.await.since.IsZero() && m.leases[node] < lease {
		m.await.since = time.Now()
	}
}

// again begins the listeners anew at once.
func (m *mirror) again() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf != nil {
		m.deaf(errAgain)
	} else {
		poke(m.retry)
	}
}

// silent is for how long the listeners have not both told what there is, and why, if that is known.
func (m *mirror) silent() (time.Duration, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quiet.IsZero() {
		return 0, nil
	}
	return time.Since(m.quiet), m.listeners.last()
}

// check looks at the time.
func (m *mirror) check() {
	m.mu.Lock()
	now := micros(m.f.clock.now())
	old := m.set != nil && (now >= m.until || now < m.built)
	if since := m.await.since; !since.IsZero() && time.Since(since) > deafAfter && m.deaf != nil {
		m.await.since = time.Now()
		m.deaf(errDeaf)
	}
	m.mu.Unlock()
	if old {
		m.rebuild()
	}
	m.say()
}

// say tells the operator when the listeners have been silent for long, and when they are not any more.
func (m *mirror) say() {
	silent, err := m.silent()
	switch {
	case silent > m.grace && !m.said:
		m.said = true
		if err == nil {
			err = errDeaf
		}
		m.f.log.Warn("what is live on other servers is not told; trying again", "for", silent.Round(time.Second), "error", m.f.explain("listen", err))
	case silent == 0 && m.said:
		m.said = false
		m.f.log.Info("what is live on other servers is told again")
	}
}

// lease is the node's in memory, if memory can be relied on.
func (m *mirror) lease(node string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() || m.await.node == node && m.leases[node] < m.await.lease {
		return 0, false
	}
	return m.leases[node], true
}

// node is what a node's document says, if memory can be relied on.
func (m *mirror) node(name string) (siaran.Node, int64, bool) {
	lease, ok := m.lease(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes[name], lease, ok
}

// trusted tells whether what is in memory is what is in the database.
func (m *mirror) trusted() bool { return m.heard[0] && m.heard[1] && m.f.health.inContact() }

// leaseOf is a node's lease; our own as we have written it, until the listener tells it: the other one may be faster. The caller holds m.mu.
func (m *mirror) leaseOf(node string) int64 {
	if node == m.await.node && !m.await.since.IsZero() {
		return max(m.leases[node], m.await.lease)
	}
	return m.leases[node]
}

// held is a row with its lease as it is judged now. While the database is away, this server does not believe that it is dead itself.
func (m *mirror) held(r mirrored) streamRow {
	row := r.row
	lease := m.leaseOf(row.Node)
	if row.LeaseUntil = m.f.valid(lease); row.LeaseUntil == 0 && lease != 0 && m.mine[row.Node] && !m.trusted() {
		row.LeaseUntil = lease
	}
	return row
}

// live is a stream that is live, from memory; false when it has to be looked up.
func (m *mirror) live(name siaran.StreamName) (streamRow, bool) {
	if m.f.strict {
		return streamRow{}, false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.rows[string(name)]
	if !there || m.asOf.Before(m.writes[name]) {
		return streamRow{}, false
	}
	if !m.trusted() && (m.f.health.inContact() || !m.mine[r.row.Node]) { // what we have ourselves is known without the database
		return streamRow{}, false
	}
	return m.held(r), true
}

// allLive is everything that says it is live, from memory; false when it has to be looked up. It may lag behind what has just been written.
func (m *mirror) allLive(mayLag bool) ([]streamRow, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() {
		return nil, false
	}
	for _, at := range m.writes {
		if !mayLag && m.asOf.Before(at) {
			return nil, false
		}
	}
	rows := make([]streamRow, 0, len(m.rows))
	for _, r := range m.rows {
		rows = append(rows, m.held(r))
	}
	return rows, true
}

// replaced tells whether a broadcast that was on show is so no more, by another's doing.
func (m *mirror) replaced(p post) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if p.role != shown || p.over || m.f.strict || !m.trusted() {
		return false
	}
	r := m.rows[string(p.state.Stream)].row
	return !m.asOf.Before(p.updated) && (r.Node != p.node || r.Broadcast != string(p.state.ID))
}

// wrote says that a stream's document has been written by us, and that the listener is to tell of it.
func (m *mirror) wrote(name siaran.StreamName, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.writes, func(_ siaran.StreamName, at time.Time) bool { return !m.asOf.Before(at) })
	if m.writes[name].Before(at) {
		m.writes[name] = at
	}
}

// overdue are the streams that we have written and of which the listener should have told by now.
func (m *mirror) overdue() []siaran.StreamName {
	m.mu.Lock()
	defer m.mu.Unlock()
	var names []siaran.StreamName
	for name, at := range m.writes {
		if m.asOf.Before(at) && m.f.clock.now().Sub(at) > deafAfter {
			names = append(names, name)
		}
	}
	return names
}

// agrees tells whether memory says the same as a stream's document; then there is nothing for the listener to tell.
func (m *mirror) agrees(name siaran.StreamName, snap *firestore.DocumentSnapshot) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.rows[string(name)]
	isLive := readStreamDocument(string(name), snap.Data()).Status != string(siaran.StatusOffline)
	if there != isLive || there && r.updated.Before(snap.UpdateTime) {
		return false
	}
	if !snap.ReadTime.Before(m.writes[name]) {
		delete(m.writes, name)
	}
	return true
}

// dead are the nodes without a valid lease that anything is known of, from memory; false when that has to be looked up.
func (m *mirror) dead() ([]string, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() {
		return nil, false
	}
	names := make(map[string]bool)
	for name := range m.leases {
		names[name] = true
	}
	for _, r := range m.rows {
		names[r.row.Node] = true
	}
	for key := range m.counts {
		names[key.node] = true
	}
	maps.DeleteFunc(names, func(name string, _ bool) bool { return name == "" || m.mine[name] || m.f.valid(m.leases[name]) != 0 })
	return slices.Sorted(maps.Keys(names)), true
}

// own are this server's names.
func (m *mirror) own() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.mine)
}

// elsewhere is how many watch a broadcast on nodes other than its own.
func (m *mirror) elsewhere(stream siaran.StreamName, broadcast siaran.BroadcastID, node string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := 0
	for key, c := range m.counts {
		if key.stream == string(stream) && key.node != node && c.broadcast == string(broadcast) && m.f.valid(m.leases[key.node]) != 0 {
			n += c.viewers
		}
	}
	return n
}

// synced tells whether everything has been heard of once.
func (m *mirror) synced() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ever
}

// rebuild makes a set of what is public and live now, and hands it to all who watch if it is another.
func (m *mirror) rebuild() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ever {
		return
	}
	m.until, m.built = math.MaxInt64, micros(m.f.clock.now())
	var rows []streamRow
	for _, r := range m.rows {
		row := m.held(r)
		if row.LeaseUntil == 0 || row.Visibility != string(siaran.VisibilityPublic) {
			continue
		}
		m.until = min(m.until, row.LeaseUntil+leaseMargin.Microseconds())
		row.LeaseUntil = 1 // a renewed lease is no change of the stream
		rows = append(rows, row)
	}
	if m.until <= m.built { // of our own, held on to
		m.until = m.built + time.Second.Microseconds()
	}
	sortRows(rows)
	old := m.set
	if old != nil && slices.Equal(old.rows, rows) {
		return
	}
	set := &liveSet{rows: rows, byName: make(map[string]streamRow, len(rows)), next: make(chan struct{})}
	for _, r := range rows {
		set.byName[r.Name] = r
	}
	m.set = set
	if old == nil {
		close(m.first)
	} else {
		close(old.next)
	}
}

func (m *mirror) newest() (*liveSet, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.set, nil
}

// Watch implements siaran.Listing. It waits for a database that cannot be reached.
func (f *Firestore) Watch(ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-f.ended.Done():
		return f.explain("watch", siaran.ErrClosed)
	case <-f.mirror.first:
	}
	set, _ := f.mirror.newest()
	err := set.watch(ctx, f.ended.Done(), f.mirror.newest, snapshot, event)
	if err != nil && ctx.Err() == nil {
		return f.explain("watch", err)
	}
	return err
}
