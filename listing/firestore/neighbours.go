package firestore

import (
	"slices"
	"strings"
	"time"

	"siaran"
	"siaran/listing/internal/live"
)

// Nodes implements listing.Neighbours.
func (f *Listing) Nodes() []siaran.Node { return f.mirror.living() }

// Live implements listing.Neighbours.
func (f *Listing) Live(name siaran.StreamName) (siaran.Stream, error) {
	m := f.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.rows[string(name)]
	switch {
	case !m.hasSynced, !there && !m.trusted():
		return siaran.Stream{}, siaran.ErrUnknownNode
	case !there, !m.heldAt(m.leaseOf(r.row.Node), m.contact()):
		return siaran.Stream{}, siaran.ErrNotLive
	}
	row := r.row
	row.LeaseUntil = m.leaseOf(row.Node)
	return row.View(), nil
}

// living returns the servers with a valid lease.
func (m *mirror) living() []siaran.Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.contact()
	if m.listed != nil && at < m.listedUntil {
		return m.listed
	}
	m.listed, m.listedUntil = make([]siaran.Node, 0, len(m.neighbours)), at+time.Second.Microseconds()
	list := func(n siaran.Node) {
		if lease := m.leaseOf(n.Name); m.heldAt(lease, at) {
			n.LeaseUntil = live.FromMicros(lease)
			m.listed = append(m.listed, n)
		}
	}
	for _, n := range m.leases.older {
		list(n)
	}
	for name, n := range m.neighbours {
		if _, older := m.leases.older[name]; !older {
			list(n.Node)
		}
	}
	slices.SortFunc(m.listed, func(a, b siaran.Node) int { return strings.Compare(a.Name, b.Name) })
	return m.listed
}

// contact is the time, by the database's clock, at which leases are judged: now, or when the database answered last. If
// it does not answer, nobody can renew a lease, so that those who lived then are taken to live. What was read of leases
// tells no more than who lives a little later. The caller holds m.mu.
func (m *mirror) contact() int64 {
	now := m.f.clock.now()
	if !m.trusted() {
		now = now.Add(-m.f.health.silence())
		if until := m.leases.asked.Add(m.ahead()); !m.leases.asked.IsZero() && until.Before(now) {
			now = until
		}
	}
	return live.Micros(now)
}

// heldAt reports whether a lease was valid at a time. The caller holds m.mu.
func (m *mirror) heldAt(lease, at int64) bool {
	return lease != 0 && lease+leaseMargin.Microseconds() > at
}

// Whereabouts implements listing.Neighbours.
func (f *Listing) Whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool) {
	m := f.mirror
	m.mu.Lock()
	defer m.mu.Unlock()
	r, there := m.rows[string(name)]
	if !there {
		return siaran.Whereabouts{}, false
	}
	return siaran.Whereabouts{
		Stream: r.row.Stream, Publisher: r.row.Publisher, Moves: r.row.Moves,
		Alive: m.heldAt(m.leaseOf(r.row.Node), m.contact()), Moved: r.moved,
	}, true
}
