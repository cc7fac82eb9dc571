package siaran

import (
	"fmt"
	"sync"
	"time"
)

// Hub holds what is live on this server. Its methods may be called from any goroutine.
type Hub struct {
	grace     time.Duration
	newFramer func(CodecName) Framer
	keep      time.Duration // see KeepViewers
	memory    *budget       // of all layers; nil: unbounded

	mu         sync.Mutex
	closed     bool
	broadcasts map[StreamName]*Broadcast // including those still without media
	feeds      []*Feed

	began   uint64
	endings map[EndReason]uint64
	written LayerStats // of broadcasts that are over
}

// NewHub makes an empty hub. grace is how long an interrupted broadcast waits for its broadcaster. newFramer makes the
// Framer of one layer of a codec; package internal/codec provides it.
func NewHub(grace time.Duration, newFramer func(CodecName) Framer) *Hub {
	return &Hub{grace: grace, newFramer: newFramer, broadcasts: make(map[StreamName]*Broadcast)}
}

// KeepViewers sets how long viewers stay after their broadcaster has stopped. When the same owner publishes tracks that
// fit within that time, the next broadcast goes on for them. By default they do not stay.
func (h *Hub) KeepViewers(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep = d
}

// SetGrace changes how long broadcasts that are interrupted from now on wait for their broadcasters.
func (h *Hub) SetGrace(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.grace = d
}

func (h *Hub) begin(stream StreamName, tracks []TrackSpec) (*Broadcast, error) {
	b := &Broadcast{
		hub: h, id: BroadcastID(randomText(12)), stream: stream,
		status: StatusOffline, done: make(chan struct{}), viewers: make(map[ViewerID]Viewer),
	}
	share := h.share()
	for _, spec := range tracks {
		t := &Track{Codec: spec.Codec}
		for _, rid := range spec.rids() {
			l := newLayer(rid, spec.Codec, share)
			if l == nil {
				closeLayers(append(b.tracks(), t))
				return nil, fmt.Errorf("%w: the memory for broadcasts is used up", ErrTooManySessions)
			}
			t.Layers = append(t.Layers, l)
		}
		if spec.Codec.Name.Kind() == KindAudio {
			b.audio = t
		} else {
			b.video = t
		}
	}
	h.broadcasts[stream] = b
	return b, nil
}

func closeLayers(tracks []*Track) {
	for _, t := range tracks {
		for _, l := range t.Layers {
			l.close()
		}
	}
}

// end ends a broadcast. The caller holds h.mu.
func (h *Hub) end(b *Broadcast, reason EndReason) {
	if b.over() {
		return
	}
	b.finish(reason)
	if h.broadcasts[b.stream] == b {
		delete(h.broadcasts, b.stream)
	}
	close(b.done)
	for _, t := range b.tracks() {
		for _, l := range t.Layers {
			h.written.add(l.Stats())
		}
	}
	closeLayers(b.tracks())
}

// finish reports the end of a broadcast and returns the viewers who were there. The caller holds hub.mu.
func (b *Broadcast) finish(reason EndReason) map[ViewerID]Viewer {
	b.release(ErrEnded)
	b.hub.retire(b, reason)
	b.setStatus(StatusOffline)
	b.ended, b.reason = time.Now(), reason
	viewers := b.viewers
	b.viewers = nil
	b.hub.notify(b, func(c *pendingChange) {
		for id := range viewers {
			c.leave(id)
		}
	})
	return viewers
}

// stop ends a broadcast, but keeps its viewers for a while. To them b is now the stream's next broadcast, which has no
// media yet. For everybody else there is none. The caller holds h.mu.
func (h *Hub) stop(b *Broadcast, reason EndReason) {
	if h.keep <= 0 || b.audience() == 0 {
		h.end(b, reason)
		return
	}
	b.renew(reason, BroadcastID(randomText(12)))
	b.endIn(h.keep, reason)
}

// Broadcast returns the broadcast of a stream that is live or interrupted. It fails with ErrNotLive when there is none,
// and with ErrReturning when its broadcaster is still expected.
func (h *Hub) Broadcast(stream StreamName) (*Broadcast, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.started.IsZero() {
		return nil, ErrNotLive
	}
	if b.expected != nil {
		return nil, ErrReturning
	}
	return b, nil
}

// End ends the broadcast of a stream. It fails with ErrNotLive when there is none.
func (h *Hub) End(stream StreamName, reason EndReason) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.endHeld(h.broadcasts[stream], reason)
}

// EndOf is End for a broadcast of this owner only. It fails with ErrNotLive when there is none.
func (h *Hub) EndOf(stream StreamName, owner string, reason EndReason) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b != nil && b.owner != owner {
		return ErrNotLive
	}
	return h.endHeld(b, reason)
}

// StopOf ends the broadcast of this owner as its broadcaster does: viewers may stay; see KeepViewers. It fails with
// ErrNotLive when there is none.
func (h *Hub) StopOf(stream StreamName, owner string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.owner != owner || b.kept() {
		return ErrNotLive
	}
	h.stop(b, EndStopped)
	return nil
}

func (h *Hub) endHeld(b *Broadcast, reason EndReason) error {
	if b == nil {
		return ErrNotLive
	}
	kept := b.kept()
	h.end(b, reason)
	if kept { // it had ended already, and only its viewers were left
		return ErrNotLive
	}
	return nil
}

// Holds reports whether owner has a broadcast of the stream, including one still without media.
func (h *Hub) Holds(stream StreamName, owner string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	return b != nil && b.owner == owner && !b.kept()
}

// Close ends every broadcast. From then on Publish fails with ErrClosed.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, b := range h.broadcasts {
		h.end(b, EndShutdown)
	}
}

// Closed reports whether Close has been called.
func (h *Hub) Closed() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed
}
