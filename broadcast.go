package siaran

import (
	"sync/atomic"
	"time"
)

// Status is how a stream is to those who look at it.
type Status string

// What a stream can be.
const (
	StatusOffline     Status = "offline"
	StatusLive        Status = "live"
	StatusInterrupted Status = "interrupted" // the broadcaster is gone for the moment; viewers stay
)

// EndReason says why a broadcast is over.
type EndReason string

// The reasons a broadcast ends for.
const (
	EndStopped  EndReason = "stopped"  // the broadcaster said so
	EndVanished EndReason = "vanished" // nothing came for the grace time
	EndReplaced EndReason = "replaced" // the same broadcaster came back with other tracks
	EndByOwner  EndReason = "ended"    // through the API
	EndShutdown EndReason = "shutdown"
	EndCrashed  EndReason = "crashed" // found by a sweep: its server died
)

// Track is the audio or the video of a broadcast.
type Track struct {
	Codec  Codec
	Layers []*Layer // one, or the simulcast layers in the order the broadcaster offered them
}

// Broadcast is one time of a stream being live. Its tracks and layers are fixed when it
// begins; other tracks are another broadcast. Methods may be called from any goroutine.
type Broadcast struct {
	hub     *Hub
	id      BroadcastID
	stream  StreamName
	owner   string
	audio   *Track
	video   *Track
	done    chan struct{} // closed at the end
	flowing atomic.Bool   // live, as the packet path sees it
	lastFed atomic.Int64  // unix nanoseconds of the newest packet's arrival

	// guarded by hub.mu
	status      Status // offline before the first media, and after the end
	started     time.Time
	ended       time.Time
	reason      EndReason
	publication *Publication // who feeds it now, nil when interrupted by a session's death
	grace       *time.Timer  // runs while interrupted
	viewers     map[ViewerID]Viewer
	peak, total int
}

// Viewer is one who watches, as the listing shows it.
type Viewer struct {
	ID       ViewerID
	JoinedAt time.Time
	Path     string // "direct" or "relayed"
}

// ID names this time of being live.
func (b *Broadcast) ID() BroadcastID { return b.id }

// Stream is the name it is watched under.
func (b *Broadcast) Stream() StreamName { return b.stream }

// Owner is the credential's owner who publishes.
func (b *Broadcast) Owner() string { return b.owner }

// Audio is the audio track, nil when there is none.
func (b *Broadcast) Audio() *Track { return b.audio }

// Video is the video track, nil when there is none.
func (b *Broadcast) Video() *Track { return b.video }

// Done is closed when the broadcast has ended.
func (b *Broadcast) Done() <-chan struct{} { return b.done }

// LastMedia is when the newest packet came; the zero time before the first.
func (b *Broadcast) LastMedia() time.Time {
	if n := b.lastFed.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// State is a snapshot of what others may know of it.
func (b *Broadcast) State() BroadcastState {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	return b.state()
}

// Join counts a viewer in. It fails with ErrEnded when the broadcast is over.
func (b *Broadcast) Join(v Viewer) error {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.over() {
		return ErrEnded
	}
	b.viewers[v.ID] = v
	b.total++
	b.peak = max(b.peak, len(b.viewers))
	b.hub.notify(b, func(c *pendingChange) { c.join(v) })
	return nil
}

// Leave counts a viewer out; harmless when it is not in.
func (b *Broadcast) Leave(id ViewerID) {
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if _, in := b.viewers[id]; !in || b.over() {
		return
	}
	delete(b.viewers, id)
	b.hub.notify(b, func(c *pendingChange) { c.leave(id) })
}

// tracks are the kinds there are, audio first.
func (b *Broadcast) tracks() []*Track {
	var list []*Track
	for _, t := range []*Track{b.audio, b.video} {
		if t != nil {
			list = append(list, t)
		}
	}
	return list
}

func (b *Broadcast) over() bool {
	select {
	case <-b.done:
		return true
	default:
		return false
	}
}

// writeError is what a writer gets that may not write any more.
func (b *Broadcast) writeError() error {
	if b.over() {
		return ErrEnded
	}
	return ErrTakenOver
}

// fed is called after each packet; it costs two atomic operations while all is well.
func (b *Broadcast) fed(at time.Time, changed bool) {
	b.lastFed.Store(at.UnixNano())
	if b.flowing.Load() && !changed {
		return
	}
	b.hub.mu.Lock()
	defer b.hub.mu.Unlock()
	if b.over() || b.publication == nil {
		return
	}
	if b.status != StatusLive {
		if b.started.IsZero() {
			b.started = at
		}
		b.setStatus(StatusLive)
	}
	b.hub.notify(b, nil)
}

// setStatus moves between live and interrupted. The caller holds hub.mu and notifies.
func (b *Broadcast) setStatus(s Status) {
	b.status = s
	b.flowing.Store(s == StatusLive)
	if b.grace != nil {
		b.grace.Stop()
		b.grace = nil
	}
	if s == StatusInterrupted {
		var timer *time.Timer
		timer = time.AfterFunc(b.hub.grace, func() {
			b.hub.mu.Lock()
			defer b.hub.mu.Unlock()
			if b.grace == timer {
				b.hub.end(b, EndVanished)
			}
		})
		b.grace = timer
	}
}

// state is State for those who hold hub.mu.
func (b *Broadcast) state() BroadcastState {
	s := BroadcastState{
		ID: b.id, Stream: b.stream, Owner: b.owner, Status: b.status,
		StartedAt: b.started, EndedAt: b.ended, EndReason: b.reason,
		Viewers: len(b.viewers), PeakViewers: b.peak, TotalViewers: b.total,
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

// BroadcastState is what others may know of a broadcast at one moment.
type BroadcastState struct {
	ID        BroadcastID
	Stream    StreamName
	Owner     string
	Status    Status
	StartedAt time.Time // of the first media
	EndedAt   time.Time // zero while it lasts
	EndReason EndReason
	Video     *VideoState // nil without video
	Audio     *AudioState // nil without audio
	Layers    []LayerState

	Viewers      int // now
	PeakViewers  int
	TotalViewers int // all that ever joined
}

// VideoState describes the video by its largest layer; sizes are 0 until the first key frame.
type VideoState struct {
	Codec  CodecName `json:"codec"`
	Width  int       `json:"width"`
	Height int       `json:"height"`
}

// AudioState describes the audio.
type AudioState struct {
	Codec CodecName `json:"codec"`
}

// LayerState describes one video layer.
type LayerState struct {
	RID    string `json:"rid"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
}
