package siaran

// What is believed of a server that passes a broadcast on: whoever reports more is taken to have this many.
const (
	mostBelow = 10_000_000 // viewers of one such server
	mostJoins = 1_000_000  // joins that one report may add
)

// below is what another server that passes the broadcast on says about its viewers.
type below struct {
	viewers int
	joins   uint64
}

// Below takes what a session of another server, which passes the broadcast on, says: how many viewers it has now, and
// how many have joined since that session began. They count as viewers of the broadcast, without names. A later word of
// the same session replaces the one before.
func (b *Broadcast) Below(session SessionID, viewers int, joins uint64) {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.over() {
		return
	}
	before := b.below[session]
	now := below{min(max(viewers, 0), mostBelow), max(joins, before.joins)}
	if now == before {
		return
	}
	if b.below == nil {
		b.below = make(map[SessionID]below)
	}
	b.below[session] = now
	b.total += int(min(now.joins-before.joins, mostJoins))
	b.peak = max(b.peak, b.audience())
	b.hub.notify(b, nil)
}

// GoneBelow forgets the viewers that a session of another server had.
func (b *Broadcast) GoneBelow(session SessionID) {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if _, known := b.below[session]; !known {
		return
	}
	delete(b.below, session)
	if !b.over() {
		b.hub.notify(b, nil)
	}
}

// audience is how many watch the broadcast, here and below; none once it has ended. The caller holds hub.mu.
func (b *Broadcast) audience() int {
	if b.viewers == nil {
		return 0
	}
	n := len(b.viewers)
	for _, c := range b.below {
		n += c.viewers
	}
	return n
}
