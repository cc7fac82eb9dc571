package siaran

// Expect begins broadcasts that the server before this one had when it stopped, as interrupted ones: they wait for
// their broadcasters for the grace time. Until then they have no tracks, and Broadcast fails with ErrReturning. A
// stream that has a broadcast already keeps it.
func (h *Hub) Expect(states []BroadcastState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range states {
		if h.closed || h.broadcasts[s.Stream] != nil || s.ID == "" || s.Owner == "" || s.StartedAt.IsZero() {
			continue
		}
		b := &Broadcast{
			hub: h, id: s.ID, stream: s.Stream, owner: s.Owner, started: s.StartedAt, expected: &s,
			origin: Origin{Moves: s.Moves}, peak: s.PeakViewers, total: s.TotalViewers, done: make(chan struct{}),
			viewers: make(map[ViewerID]Viewer),
		}
		h.broadcasts[s.Stream] = b
		b.setStatus(StatusInterrupted)
		h.notify(b, nil)
	}
}

// succeed makes b, which has just begun, go on as the expected broadcast was. The caller holds hub.mu.
func (b *Broadcast) succeed(was *Broadcast) {
	was.grace.Stop()
	was.grace = nil
	b.id, b.started, b.status, b.peak, b.total = was.id, was.started, was.status, was.peak, was.total
	b.origin.Moves = was.origin.Moves
}
