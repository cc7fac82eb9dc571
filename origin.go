package siaran

import "time"

// Origin says where a broadcast began. The zero value: here, with the first media.
type Origin struct {
	ID        BroadcastID // drawn here when empty
	StartedAt time.Time   // its first media's arrival here when zero
	Relayed   bool        // it comes from another server
}

// from makes b a broadcast of this owner and origin. If it is another broadcast than before, the one before has ended;
// its viewers stay and become those of the next. The caller holds hub.mu and has released the publication.
func (b *Broadcast) from(owner string, origin Origin) {
	other := origin.ID != "" && origin.ID != b.id || origin.ID == "" && b.origin.Relayed && !origin.Relayed
	if other {
		id := origin.ID
		if id == "" {
			id = BroadcastID(randomText(12))
		}
		b.renew(EndReplaced, id)
	}
	b.owner, b.origin = owner, origin
}

// renew ends a broadcast for everybody but its viewers. To them b is now the stream's next broadcast, which has no
// media yet. The caller holds hub.mu.
func (b *Broadcast) renew(reason EndReason, id BroadcastID) {
	if !b.started.IsZero() {
		b.viewers = b.finish(reason)
	}
	b.id = id
	b.started, b.ended, b.reason = time.Time{}, time.Time{}, ""
	for _, t := range b.tracks() {
		for _, l := range t.Layers {
			l.empty()
		}
	}
}

// forsaken reports whether the broadcast is relayed and no session feeds it. The caller holds hub.mu.
func (b *Broadcast) forsaken() bool { return b.origin.Relayed && b.publication == nil }

// Taken reports whether somebody else than owner has the stream, so that Publish would fail with ErrStreamTaken;
// relayed says whether what is there comes from another server.
func (h *Hub) Taken(stream StreamName, owner string) (taken, relayed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.owner == owner || b.forsaken() || b.kept() {
		return false, false
	}
	return true, b.origin.Relayed
}
