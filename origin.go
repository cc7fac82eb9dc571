package siaran

import "time"

// Origin says where a broadcast began. The zero value: here, with the first media.
type Origin struct {
	ID        BroadcastID // drawn here when empty
	StartedAt time.Time   // its first media's arrival here when zero
	Pulled    bool        // it comes from another server
	Moves     int         // how often the broadcast has gone on at another server than before
}

// Whereabouts is where a broadcast is listed, and for whom.
type Whereabouts struct {
	Stream    Stream    // live or interrupted, as it was last written; its server may be dead
	Publisher string    // proves whose broadcast it is to whoever has the secret; empty: nobody can say
	Moves     int       // of Origin
	Alive     bool      // its server has a valid lease
	Moved     time.Time // when this server has seen that it moved; zero: it has not
}

// from makes b a broadcast of this owner and origin. If it is another broadcast than before, the one before has ended;
// its viewers stay and become those of the next. The caller holds hub.mu and has released the publication.
func (b *Broadcast) from(owner string, origin Origin) {
	other := origin.ID != "" && origin.ID != b.id || origin.ID == "" && b.origin.Pulled && !origin.Pulled
	if other {
		id := origin.ID
		if id == "" {
			id = BroadcastID(randomText(12))
		}
		b.renew(EndReplaced, id)
	} else {
		origin.Moves = max(origin.Moves, b.origin.Moves)
	}
	if b.arriving = !other && b.pulled() && !origin.Pulled; b.arriving {
		b.status = StatusInterrupted // until it is fed
	}
	b.owner, b.origin = owner, origin
}

// pulled reports whether the broadcast comes from another server, or has come from there until now and has no media of
// its broadcaster yet. The caller holds hub.mu.
func (b *Broadcast) pulled() bool { return b.origin.Pulled || b.arriving }

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

// forsaken reports whether the broadcast is pulled and no session feeds it. The caller holds hub.mu.
func (b *Broadcast) forsaken() bool { return b.pulled() && b.publication == nil }

// Yield makes a broadcast that goes on at another server one that comes from there: its session ends with ErrTakenOver,
// and its viewers wait for what PublishFrom brings under the new owner. It reports whether the stream's broadcast is
// that one, and had its broadcaster here.
func (h *Hub) Yield(stream StreamName, id BroadcastID, owner string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.id != id || b.origin.Pulled {
		return false
	}
	b.release(ErrTakenOver)
	b.owner, b.origin.Pulled, b.arriving = owner, true, false
	if b.expected != nil {
		h.end(b, EndReplaced)
		return true
	}
	b.setStatus(StatusInterrupted)
	h.notify(b, nil)
	return true
}

// Taken reports whether somebody else than owner has the stream, so that Publish would fail with ErrStreamTaken;
// pulled says whether what is there comes from another server.
func (h *Hub) Taken(stream StreamName, owner string) (taken, pulled bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.owner == owner || b.forsaken() || b.kept() {
		return false, false
	}
	return true, b.origin.Pulled
}
