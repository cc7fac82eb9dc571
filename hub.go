package siaran

import (
	"slices"
	"sync"
	"time"
)

// Hub holds what is live on this server. Its methods may be called from any goroutine.
type Hub struct {
	grace time.Duration

	mu         sync.Mutex
	closed     bool
	broadcasts map[StreamName]*Broadcast // including those whose first media has not come yet
	feeds      []*Feed
}

// NewHub makes an empty hub. grace is how long an interrupted broadcast waits for its broadcaster.
func NewHub(grace time.Duration) *Hub {
	return &Hub{grace: grace, broadcasts: make(map[StreamName]*Broadcast)}
}

// TrackSpec is a track as negotiated with the broadcaster.
type TrackSpec struct {
	Codec Codec
	RIDs  []string // simulcast layers in the order offered; none means a single layer without a rid
}

// Publication is a broadcaster's hold on a broadcast, from the answer to its offer until the session ends.
type Publication struct {
	broadcast *Broadcast
	writers   []*Writer
	requests  chan struct{}
	done      chan struct{}
	err       error // set before done is closed
}

// Publish begins, continues or takes over the broadcast of a stream. The stream is live
// with its first media, not before. While it is live for the same owner, the publication
// before ends with ErrTakenOver; for another owner the error is ErrStreamTaken. There must
// be at most one audio and one video track, and at least one of them.
func (h *Hub) Publish(stream StreamName, owner string, tracks []TrackSpec) (*Publication, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	b := h.broadcasts[stream]
	if b != nil && b.owner != owner {
		return nil, ErrStreamTaken
	}
	if b != nil {
		b.release(ErrTakenOver)
		if !b.fits(tracks) {
			h.end(b, EndReplaced)
			b = nil
		}
	}
	if b == nil {
		b = h.begin(stream, owner, tracks)
	}
	if b.status == StatusInterrupted {
		b.setStatus(StatusInterrupted) // the grace time begins anew, or it might run out while the session connects
	}
	return b.take(), nil
}

func (h *Hub) begin(stream StreamName, owner string, tracks []TrackSpec) *Broadcast {
	b := &Broadcast{
		hub: h, id: BroadcastID(randomText(12)), stream: stream, owner: owner,
		status: StatusOffline, done: make(chan struct{}), viewers: make(map[ViewerID]Viewer),
	}
	for _, spec := range tracks {
		t := &Track{Codec: spec.Codec}
		for _, rid := range spec.rids() {
			t.Layers = append(t.Layers, newLayer(rid, spec.Codec))
		}
		if spec.Codec.Name.Kind() == KindAudio {
			b.audio = t
		} else {
			b.video = t
		}
	}
	h.broadcasts[stream] = b
	return b
}

func (s TrackSpec) rids() []string {
	if len(s.RIDs) == 0 {
		return []string{""}
	}
	return s.RIDs
}

// fits tells whether the viewers of b can go on with these tracks.
func (b *Broadcast) fits(tracks []TrackSpec) bool {
	have := b.tracks()
	if len(have) != len(tracks) {
		return false
	}
	return !slices.ContainsFunc(tracks, func(spec TrackSpec) bool {
		return !slices.ContainsFunc(have, func(t *Track) bool {
			return t.Codec.Same(spec.Codec) && slices.EqualFunc(t.Layers, spec.rids(), func(l *Layer, rid string) bool { return l.rid == rid })
		})
	})
}

// take gives the layers to a new publication. The caller holds hub.mu.
func (b *Broadcast) take() *Publication {
	p := &Publication{broadcast: b, requests: make(chan struct{}, 1), done: make(chan struct{})}
	b.publication = p
	for _, t := range b.tracks() {
		for _, l := range t.Layers {
			w := &Writer{layer: l, broadcast: b, framer: NewFramer(t.Codec.Name)}
			l.mu.Lock()
			l.writer = w
			l.mu.Unlock()
			l.feeder.Store(p)
			if l.wanted.Load() {
				p.poke() // asked for while nobody fed the layer
			}
			p.writers = append(p.writers, w)
		}
	}
	return p
}

// release takes the layers from the publication that has them. The caller holds hub.mu.
func (b *Broadcast) release(why error) {
	p := b.publication
	if p == nil {
		return
	}
	b.publication = nil
	for _, w := range p.writers {
		w.layer.mu.Lock()
		w.layer.writer = nil
		w.layer.mu.Unlock()
		w.layer.feeder.Store(nil)
	}
	p.err = why
	close(p.done)
}

// end is the end of a broadcast. The caller holds h.mu.
func (h *Hub) end(b *Broadcast, reason EndReason) {
	if b.over() {
		return
	}
	b.release(ErrEnded)
	began := !b.started.IsZero()
	b.setStatus(StatusOffline)
	b.ended, b.reason = time.Now(), reason
	if h.broadcasts[b.stream] == b {
		delete(h.broadcasts, b.stream)
	}
	close(b.done)
	viewers := b.viewers
	b.viewers = nil
	if began {
		h.notify(b, func(c *pendingChange) {
			for id := range viewers {
				c.leave(id)
			}
		})
	}
}

// Broadcast is what is live under the name now, or interrupted; ErrNotLive when nothing is.
func (h *Hub) Broadcast(stream StreamName) (*Broadcast, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil || b.started.IsZero() {
		return nil, ErrNotLive
	}
	return b, nil
}

// End ends the broadcast of a stream for everyone; ErrNotLive when there is none.
func (h *Hub) End(stream StreamName, reason EndReason) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil {
		return ErrNotLive
	}
	h.end(b, reason)
	return nil
}

// Close ends every broadcast; Publish fails with ErrClosed from then on.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, b := range h.broadcasts {
		h.end(b, EndShutdown)
	}
}

// Broadcast is what the publication feeds.
func (p *Publication) Broadcast() *Broadcast { return p.broadcast }

// Writer is where the packets of a track's layer go, nil when that was not negotiated.
func (p *Publication) Writer(kind Kind, rid string) *Writer {
	for _, w := range p.writers {
		if w.layer.codec.Name.Kind() == kind && w.layer.rid == rid {
			return w
		}
	}
	return nil
}

// Writers are all of them, audio first.
func (p *Publication) Writers() []*Writer { return p.writers }

// KeyframeRequests receives when viewers ask for a key frame; see [Writer.KeyframeWanted].
func (p *Publication) KeyframeRequests() <-chan struct{} { return p.requests }

func (p *Publication) poke() {
	select {
	case p.requests <- struct{}{}:
	default:
	}
}

// Done is closed when the publication has been taken over or the broadcast has ended; Err says which.
func (p *Publication) Done() <-chan struct{} { return p.done }

// Err is ErrTakenOver or ErrEnded once Done is closed.
func (p *Publication) Err() error { return p.err }

// Interrupt says that nothing has come for a while. The next packet makes the broadcast
// live again; when none comes within the grace time, it ends.
func (p *Publication) Interrupt() { p.lost(false) }

// Abandon says that the session has died without a goodbye. The broadcast waits for the
// grace time; if it never had any media, it is forgotten.
func (p *Publication) Abandon() { p.lost(true) }

func (p *Publication) lost(forGood bool) {
	b := p.broadcast
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.publication != p {
		return
	}
	if forGood {
		b.release(ErrEnded)
		if b.started.IsZero() {
			b.hub.end(b, EndVanished)
			return
		}
	}
	if b.status == StatusLive {
		b.setStatus(StatusInterrupted)
		b.hub.notify(b, nil)
	}
}

// Stop ends the broadcast at the broadcaster's wish.
func (p *Publication) Stop() {
	b := p.broadcast
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.publication == p {
		b.hub.end(b, EndStopped)
	}
}
