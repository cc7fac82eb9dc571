package siaran

import (
	"sync/atomic"
	"time"
)

// Status is the state of a stream as others see it.
type Status string

// The states of a stream.
const (
	StatusOffline     Status = "offline"
	StatusLive        Status = "live"
	StatusInterrupted Status = "interrupted" // the broadcaster is gone for now; viewers stay
)

// EndReason says why a broadcast is over.
type EndReason string

// The reasons for the end of a broadcast.
const (
	EndStopped  EndReason = "stopped"  // by the broadcaster
	EndVanished EndReason = "vanished" // no media came during the grace time
	EndReplaced EndReason = "replaced" // by another broadcast, or by the same one on another server
	EndByOwner  EndReason = "ended"    // through the API
	EndShutdown EndReason = "shutdown"
	EndCrashed  EndReason = "crashed" // its server died; set by a sweep of the listing
)

// Revocable reports whether a broadcast that has ended for this reason can go on under its id: it did not end by
// itself, but with its server, and the server may be back.
func (r EndReason) Revocable() bool { return r == EndCrashed || r == EndShutdown }

// Track is the audio or the video of a broadcast.
type Track struct {
	Codec  Codec
	Layers []*Layer // one, or the simulcast layers in the order the broadcaster offered them
}

// Broadcast is one period in which a stream is live. Its tracks and layers are fixed when it begins; a change of tracks
// begins another broadcast. While viewers are kept for the stream's next broadcast ([Hub.KeepViewers]), the value
// becomes that next broadcast, with another id. Methods may be called from any goroutine.
type Broadcast struct {
	hub     *Hub
	stream  StreamName
	audio   *Track
	video   *Track
	done    chan struct{} // closed when it is over for its viewers too
	flowing atomic.Bool   // live; read by the packet path without the lock

	// guarded by hub.mu
	id          BroadcastID
	owner       string
	origin      Origin
	arriving    bool            // it was pulled, and its broadcaster is about to feed it here
	expected    *BroadcastState // what it was before the server was started again; nil once it has tracks
	status      Status          // offline before the first media, and after the end
	started     time.Time
	ended       time.Time
	reason      EndReason
	publication *Publication // that feeds it now; nil after its session has died
	grace       *time.Timer  // runs while interrupted, and while only viewers are left
	viewers     map[ViewerID]Viewer
	below       map[SessionID]below // see Below
	most        int                 // viewers; 0: any number
	peak, total int
}

// Viewer is one viewer of a broadcast, as the listing shows it.
type Viewer struct {
	ID       ViewerID
	JoinedAt time.Time
	Path     string // "direct" or "relayed"
}

// ID identifies this broadcast among all of the stream.
func (b *Broadcast) ID() BroadcastID {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.id
}

// Stream is the public name of the stream.
func (b *Broadcast) Stream() StreamName { return b.stream }

// Owner is the owner of the credential that publishes it.
func (b *Broadcast) Owner() string {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.owner
}

// Audio is the audio track, nil when there is none.
func (b *Broadcast) Audio() *Track { return b.audio }

// Video is the video track, nil when there is none.
func (b *Broadcast) Video() *Track { return b.video }

// Done returns a channel that is closed when the broadcast has ended and keeps no viewers.
func (b *Broadcast) Done() <-chan struct{} { return b.done }

// State returns a snapshot of the broadcast.
func (b *Broadcast) State() BroadcastState {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.state()
}

// LimitViewers sets how many viewers may watch at the same time, those of servers that pass the broadcast on included;
// 0 means no limit. Viewers who have joined already stay.
func (b *Broadcast) LimitViewers(most int) {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	b.most = most
}

// Full reports whether nobody can join at the moment.
func (b *Broadcast) Full() bool {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.full()
}

func (b *Broadcast) full() bool { return b.most > 0 && b.audience() >= b.most }

// Join adds a viewer. It fails with ErrEnded once Done is closed, and with ErrStreamFull.
func (b *Broadcast) Join(v Viewer) error {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.over() {
		return ErrEnded
	}
	if b.full() {
		return ErrStreamFull
	}
	b.viewers[v.ID] = v
	b.total++
	b.peak = max(b.peak, b.audience())
	b.hub.notify(b, func(c *pendingChange) { c.join(v) })
	return nil
}

// Leave removes a viewer. It does nothing when the viewer has not joined.
func (b *Broadcast) Leave(id ViewerID) {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if _, in := b.viewers[id]; !in || b.over() {
		return
	}
	delete(b.viewers, id)
	b.hub.notify(b, func(c *pendingChange) { c.leave(id) })
}

// tracks returns the tracks that exist, audio first.
func (b *Broadcast) tracks() []*Track {
	var list []*Track
	for _, t := range []*Track{b.audio, b.video} {
		if t != nil {
			list = append(list, t)
		}
	}
	return list
}

// kept reports whether the broadcast has ended and is only there for its viewers. The caller holds hub.mu.
func (b *Broadcast) kept() bool { return b.started.IsZero() && b.publication == nil }

func (b *Broadcast) over() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// writeError is the error for a writer that has lost its layer.
func (b *Broadcast) writeError() error {
	if b.over() {
		return ErrEnded
	}
	return ErrTakenOver
}

// fed is called after each packet; it costs one atomic load while nothing changes.
func (b *Broadcast) fed(at time.Time, changed bool) {
	if b.flowing.Load() && !changed {
		return
	}
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.over() || b.publication == nil {
		return
	}
	began := b.started.IsZero()
	if began {
		b.hub.began++
		b.started = at
		if !b.origin.StartedAt.IsZero() {
			b.started = b.origin.StartedAt
		}
		b.peak = b.audience() // who were kept
		b.total = b.peak
	}
	if b.status != StatusLive {
		b.setStatus(StatusLive)
	}
	arrived := b.arriving
	b.arriving = false
	b.hub.notify(b, func(c *pendingChange) {
		if !began && !arrived {
			return
		}
		for _, v := range b.viewers {
			c.join(v)
		}
	})
}

// setStatus changes the status, stops the grace timer, and starts it again when the broadcast is interrupted. The
// caller holds hub.mu and notifies.
func (b *Broadcast) setStatus(s Status) {
	b.status = s
	b.flowing.Store(s == StatusLive)
	if b.grace != nil {
		b.grace.Stop()
		b.grace = nil
	}
	if s == StatusInterrupted {
		b.endIn(b.hub.grace, EndVanished)
	}
}

// endIn starts the grace timer. The caller holds hub.mu.
func (b *Broadcast) endIn(d time.Duration, reason EndReason) {
	var timer *time.Timer
	timer = time.AfterFunc(d, func() {
		b.hub.mu.Lock()
		defer b.hub.mu.Unlock()
		if b.grace == timer {
			b.hub.end(b, reason)
		}
	})
	b.grace = timer
}

// state is State for callers that hold hub.mu.
func (b *Broadcast) state() BroadcastState {
	s := BroadcastState{
		ID: b.id, Stream: b.stream, Owner: b.owner, Pulled: b.pulled(), Moves: b.origin.Moves, Status: b.status,
		StartedAt: b.started, EndedAt: b.ended, EndReason: b.reason,
		Viewers: b.audience(), PeakViewers: b.peak, TotalViewers: b.total,
	}
	if b.expected != nil {
		s.Video, s.Audio, s.Layers = b.expected.Video, b.expected.Audio, b.expected.Layers
	}
	if b.audio != nil {
		s.Audio = &AudioState{Codec: b.audio.Codec.Name}
	}
	if b.video != nil {
		s.Video = &VideoState{Codec: b.video.Codec.Name}
		for _, l := range b.video.Layers {
			w, h := l.Size()
			s.Layers = append(s.Layers, LayerState{RID: l.RID(), Width: w, Height: h})
			if w*h > s.Video.Width*s.Video.Height {
				s.Video.Width, s.Video.Height = w, h
			}
		}
	}
	return s
}

// BroadcastState is a snapshot of a broadcast.
type BroadcastState struct {
	ID        BroadcastID
	Stream    StreamName
	Owner     string
	Pulled    bool // it comes from another server
	Moves     int  // how often it has gone on at another server than before
	Status    Status
	StartedAt time.Time // of the first media
	EndedAt   time.Time // zero while it lasts
	EndReason EndReason
	Video     *VideoState // nil without video
	Audio     *AudioState // nil without audio
	Layers    []LayerState

	Viewers      int // now
	PeakViewers  int
	TotalViewers int // every viewer that has ever joined
}

// VideoState describes the largest layer of the video. Sizes are in pixels, 0 until the first key frame.
type VideoState struct {
	Codec  CodecName `json:"codec"`
	Width  int       `json:"width"`
	Height int       `json:"height"`
}

// AudioState describes the audio.
type AudioState struct {
	Codec CodecName `json:"codec"`
}

// LayerState describes one video layer. Sizes are in pixels, 0 until the first key frame.
type LayerState struct {
	RID    string `json:"rid"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}
