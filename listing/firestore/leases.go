package firestore

import (
	"context"
	"errors"
	"sync"
	"time"

	"cloud.google.com/go/firestore"

	"siaran"
	"siaran/listing"
	"siaran/listing/internal/live"
)

const (
	askRetry = time.Second      // after a question for leases that failed
	allEvery = 30 * time.Minute // all leases are read, in case anybody else has changed documents of servers

	loadSteps = 20 // of a server's room: a change by one of them is news
	useStep   = 0.1
)

// leases is what this server knows of the leases of all. They are renewed in documents that it does not listen to: that
// would cost the square of the number of servers. It asks for those that have not been renewed lately, mostly none.
// Those end then, and all other neighbours live. So it is known beforehand when the lease of a server that has died
// ends.
type leases struct {
	asked  time.Time        // for these, by the database's clock; zero: never
	found  map[string]int64 // the leases in the answer
	others int64            // a lease for each neighbour that is not in found

	older     map[string]siaran.Node // servers of before, which are no neighbours
	rightless map[string]bool        // those of them that do not know documents of rights
	all       bool                   // the next question is for all leases
	allAt     time.Time              // when all were read
	noIndex   sync.Once              // warns
}

// neighbour is what a server says of itself, and its lease when it said so.
type neighbour struct {
	siaran.Node
	lease int64
}

// followLeases asks for leases until the listing is closed.
func (m *mirror) followLeases() {
	for m.f.ended.Err() == nil {
		pause := m.period
		if err := m.askLeases(m.f.ended); err != nil {
			pause = min(pause, askRetry)
		}
		select {
		case <-m.f.ended.Done():
		case <-time.After(pause):
		}
	}
}

// ahead is for how long after a question the answer tells who lives. A server that renews its lease as it should has
// more left of it.
func (m *mirror) ahead() time.Duration { return m.period + leaseMargin }

// askLeases asks the database once.
func (m *mirror) askLeases(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, listing.CallTimeout)
	defer cancel()
	f := m.f
	return f.do(ctx, "read leases", func(ctx context.Context) error {
		if !f.clock.known() {
			if err := f.ask(ctx, listing.CallTimeout); err != nil {
				return err
			}
		}
		asked, all := f.clock.now(), m.wantsAll()
		if !all {
			snaps, err := f.query(ctx, f.nodes().Where("leaseUntil", "<=", asked.Add(m.ahead())))
			if err == nil {
				m.takeLeases(snaps, asked, false)
				return nil
			}
			if !errors.Is(advice(err), listing.ErrNoIndex) {
				return err
			}
			m.leases.noIndex.Do(func() {
				f.log.Warn("all leases are read instead of those that run out: reads grow with the square of the servers",
					"error", listing.ErrNoIndex)
			})
		}
		snaps, err := f.query(ctx, f.nodes().Query)
		if err != nil {
			return err
		}
		m.takeLeases(snaps, asked, true)
		return nil
	})
}

// wantsAll reports whether all leases are to be read: now and then, while servers of before are among us, and when a
// stream is on a server that nothing is known of.
func (m *mirror) wantsAll() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leases.all || time.Since(m.leases.allAt) > allEvery {
		return true
	}
	for _, r := range m.rows {
		if _, found := m.leases.found[r.row.Node]; !found && m.leaseOf(r.row.Node) == 0 && r.row.Node != "" {
			return true
		}
	}
	return false
}

// takeLeases takes the answer to a question, unless a later one has been answered.
func (m *mirror) takeLeases(snaps []*firestore.DocumentSnapshot, asked time.Time, all bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := &m.leases
	if asked.Before(l.asked) {
		return
	}
	l.asked, l.found, l.others, m.listed = asked, make(map[string]int64, len(snaps)), 0, nil
	for _, snap := range snaps {
		l.found[nameOf(snap.Ref.ID)] = fields(snap.Data()).time("leaseUntil")
	}
	if all {
		l.all, l.allAt = false, time.Now()
		l.older, l.rightless = make(map[string]siaran.Node), make(map[string]bool)
		for _, snap := range snaps {
			m.takeOlder(nameOf(snap.Ref.ID), snap.Data())
		}
		for name := range m.neighbours {
			if _, found := l.found[name]; !found { // a server of before has swept it
				l.all = true
			}
		}
	} else {
		l.others = live.Micros(asked.Add(listing.LeasePeriod))
	}
	m.sync()
	wake(m.changed)
}

// takeOlder looks whether a server's document is of a server of before. The caller holds m.mu.
func (m *mirror) takeOlder(name string, content fields) {
	if content.text("process") != "" {
		return
	}
	l := &m.leases
	l.older[name] = readNodeDocument(name, content)
	if isOlder(content) {
		l.rightless[name] = true
	}
	if m.f.valid(l.found[name]) != 0 {
		l.all = true
	}
}

// leaseOf returns a node's lease. Our own counts as it was written. The caller holds m.mu.
func (m *mirror) leaseOf(node string) int64 {
	var lease int64
	found, known := m.leases.found[node]
	if n, neighbour := m.neighbours[node]; neighbour {
		if !known {
			found = m.leases.others
		}
		lease = max(n.lease, found)
	} else if _, older := m.leases.older[node]; older {
		lease = found
	} // else it has given its lease back, or was swept
	if node == m.ownLease.node {
		lease = max(lease, m.ownLease.lease)
	}
	return lease
}

// lease returns the node's lease, if memory can be relied on. A node that it does not know may be newer than what the
// listener has delivered.
func (m *mirror) lease(node string) (int64, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.f.strict || !m.trusted() {
		return 0, false
	}
	_, found := m.leases.found[node]
	lease := m.leaseOf(node)
	return lease, found || lease != 0
}

// node returns what a node says of itself, if memory can be relied on.
func (m *mirror) node(name string) (siaran.Node, int64, bool) {
	lease, ok := m.lease(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	if n, older := m.leases.older[name]; older {
		return n, lease, ok
	}
	n, known := m.neighbours[name]
	return n.Node, lease, ok && known
}

// isNews reports whether others have to be told what a node says of itself: they know something else, or may take it
// for dead.
func (m *mirror) isNews(now siaran.Node) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	told, known := m.neighbours[now.Name]
	lapsed := m.ownLease.lease <= live.Micros(m.f.clock.now()) // others allow a margin, so we know it before them
	if !known || !m.heard[neighbourListener] || m.ownLease.node != now.Name || lapsed {
		return true
	}
	viewers, room := max(now.Viewers-told.Viewers, told.Viewers-now.Viewers), now.Capacity
	if room == 0 {
		room = max(now.Viewers, told.Viewers)
	}
	use := max(now.Use-told.Use, told.Use-now.Use)
	return now.URL != told.URL || now.Region != told.Region || now.Capacity != told.Capacity ||
		now.Draining != told.Draining || viewers > 0 && viewers*loadSteps >= room ||
		use >= useStep || (now.Use < 1) != (told.Use < 1)
}

// takeNeighbours replaces all neighbours.
func (m *mirror) takeNeighbours(_ context.Context, docs []*firestore.DocumentSnapshot, _ time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.neighbours, m.listed = make(map[string]neighbour, len(docs)), nil
	for _, d := range docs {
		name, content := nameOf(d.Ref.ID), fields(d.Data())
		m.neighbours[name] = neighbour{readNodeDocument(name, content), content.time("leaseUntil")}
	}
	return nil
}

// takeOwn hears what this server has written. That alone shows that the listeners work.
func (m *mirror) takeOwn(_ context.Context, _ []*firestore.DocumentSnapshot, asOf time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ownLease.asOf = asOf
	if !asOf.Before(m.ownLease.at) {
		m.ownLease.since = time.Time{}
	}
	return nil
}
