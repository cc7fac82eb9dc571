package siaran

import "slices"

// TrackSpec is a track as negotiated with the broadcaster.
type TrackSpec struct {
	Codec Codec
	RIDs  []string // simulcast layers in the order offered; empty for a single layer without a rid
}

// Publication is the right of one session to feed a broadcast, from the answer to its offer until the session ends.
type Publication struct {
	broadcast *Broadcast
	writers   []*Writer
	requests  chan struct{}
	done      chan struct{}
	err       error // set before done is closed
}

// Publish begins, continues or takes over the broadcast of a stream. The stream becomes live with its first media.
//
// When the same owner is already publishing, that publication ends with ErrTakenOver. A pulled broadcast that no
// session feeds gives way to any owner, and its viewers stay if the tracks fit. Publish fails with ErrStreamTaken when
// another owner has the stream, with ErrTooManySessions when there is no memory for its layers, and with ErrClosed.
// tracks must hold at most one audio and one video track, and at least one of them.
func (h *Hub) Publish(stream StreamName, owner string, tracks []TrackSpec) (*Publication, error) {
	return h.PublishFrom(stream, owner, tracks, Origin{})
}

// PublishFrom is Publish for a broadcast that began elsewhere. When the same owner has another broadcast of the stream
// than that of origin, that one ends, and its viewers stay if the tracks fit.
func (h *Hub) PublishFrom(stream StreamName, owner string, tracks []TrackSpec, origin Origin) (*Publication, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, ErrClosed
	}
	for name, other := range h.broadcasts { // what is kept by id must not be that of two
		if name != stream && other.id == origin.ID {
			origin.ID = ""
		}
	}
	b := h.broadcasts[stream]
	if b != nil && b.owner != owner {
		switch {
		case b.forsaken():
		case !b.kept():
			return nil, ErrStreamTaken
		default:
			h.end(b, EndReplaced)
			b = nil
		}
	}
	var expected *Broadcast
	if b != nil {
		b.release(ErrTakenOver)
		switch {
		case b.expected != nil:
			expected, b = b, nil
		case !b.fits(tracks):
			h.end(b, EndReplaced)
			b = nil
		}
	}
	if b == nil {
		var err error
		if b, err = h.begin(stream, tracks); err != nil {
			return nil, err
		}
		if expected != nil {
			b.succeed(expected)
		}
	}
	b.from(owner, origin)
	// Restarts the grace time, which might otherwise run out while the session connects. Viewers that are kept stay for
	// as long as that takes.
	b.setStatus(b.status)
	return b.attach(), nil
}

func (s TrackSpec) rids() []string {
	if len(s.RIDs) == 0 {
		return []string{""}
	}
	return s.RIDs
}

// fits reports whether the viewers of b can continue with these tracks.
func (b *Broadcast) fits(tracks []TrackSpec) bool {
	have := b.tracks()
	if len(have) != len(tracks) {
		return false
	}
	return !slices.ContainsFunc(tracks, func(spec TrackSpec) bool {
		return !slices.ContainsFunc(have, func(t *Track) bool {
			sameRID := func(l *Layer, rid string) bool { return l.rid == rid }
			return t.Codec.Same(spec.Codec) && slices.EqualFunc(t.Layers, spec.rids(), sameRID)
		})
	})
}

// attach gives the layers to a new publication. The caller holds hub.mu.
func (b *Broadcast) attach() *Publication {
	p := &Publication{broadcast: b, requests: make(chan struct{}, 1), done: make(chan struct{})}
	b.publication = p
	for _, t := range b.tracks() {
		for _, l := range t.Layers {
			w := &Writer{layer: l, broadcast: b, framer: b.hub.newFramer(t.Codec.Name), pulled: b.origin.Pulled}
			l.mu.Lock()
			l.writer = w
			l.mu.Unlock()
			l.resting.Store(false)
			l.feeder.Store(p)
			if l.wanted.Load() {
				p.poke() // requested while no session fed the layer
			}
			p.writers = append(p.writers, w)
		}
	}
	return p
}

// release takes the layers away from the publication that has them. The caller holds hub.mu.
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

// Broadcast is the broadcast that the publication feeds.
func (p *Publication) Broadcast() *Broadcast { return p.broadcast }

// Writer returns the writer of one layer, nil when that layer was not negotiated.
func (p *Publication) Writer(kind Kind, rid string) *Writer {
	for _, w := range p.writers {
		if w.layer.codec.Name.Kind() == kind && w.layer.rid == rid {
			return w
		}
	}
	return nil
}

// Writers returns the writers of all layers, audio first.
func (p *Publication) Writers() []*Writer { return p.writers }

// KeyframeRequests returns a channel that receives when viewers ask for a key frame; see [Writer.KeyframeWanted].
func (p *Publication) KeyframeRequests() <-chan struct{} { return p.requests }

func (p *Publication) poke() {
	select {
	case p.requests <- struct{}{}:
	default:
	}
}

// Done returns a channel that is closed when the publication is taken over or the broadcast ends; Err says which.
func (p *Publication) Done() <-chan struct{} { return p.done }

// Err returns ErrTakenOver or ErrEnded once Done is closed.
func (p *Publication) Err() error { return p.err }

// Interrupt says that no media has come for a while. The next packet makes the broadcast live again; if none comes
// within the grace time, it ends.
func (p *Publication) Interrupt() { p.lost(false) }

// Abandon says that the session has ended without ending its broadcast. The broadcast waits for the grace time; if it
// never had any media, it ends at once.
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
			b.hub.stop(b, EndVanished)
			return
		}
	}
	if b.status == StatusLive {
		b.setStatus(StatusInterrupted)
		b.hub.notify(b, nil)
	}
}

// Stop ends the broadcast because the broadcaster asked for it. Its viewers may stay; see [Hub.KeepViewers].
func (p *Publication) Stop() {
	b := p.broadcast
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.publication == p {
		b.hub.stop(b, EndStopped)
	}
}
