package siaran

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// What a layer keeps, at the most. The first bound that is met counts.
const (
	videoSlots  = 1 << 14 // packets; 10 s of 15 Mbit/s
	audioSlots  = 1 << 9
	layerBytes  = 32 << 20
	repairTime  = 2 * time.Second // packets older than this and than the newest key frame are let go
	maxGap      = 1 << 10         // a larger step in the sequence numbers is a new beginning, not a loss
	minimumStep = 10 * time.Millisecond
)

// GatherTime is how long the packets of a frame are left to come together before those who
// follow a layer hear of them: wake-ups cost more than packets.
const GatherTime = 2 * time.Millisecond

// Clock ties a layer's timestamps to the time of day: the sample with Timestamp was taken
// at Wall. Wall is this server's clock, moved by a constant that is the same for all
// tracks of one broadcaster, so that sender reports made from it keep lips in step.
type Clock struct {
	Wall      time.Time
	Timestamp int64 // in the layer's units
}

// Layer is one encoding of one track: a ring of packets with one writer and many readers.
// Sequence numbers run on without a jump for as long as the broadcast lives, whoever feeds
// it. All methods may be called from any goroutine; those of readers take no lock.
type Layer struct {
	rid   string
	codec Codec

	slots    []atomic.Pointer[Packet] // a packet stands at Seq modulo the length, a power of two
	head     atomic.Int64             // one past the newest packet
	tail     atomic.Int64             // the oldest packet that may be there
	keyframe atomic.Int64             // first packet of the newest whole-so-far key frame, -1 when none is kept

	clock     atomic.Pointer[Clock]
	size      atomic.Uint64 // width and height, 32 bits each
	followers atomic.Pointer[[]chan<- struct{}]
	wanted    atomic.Bool // a viewer asked for a key frame
	feeder    atomic.Pointer[Publication]

	packets, bytes, lost, keyframes atomic.Uint64

	mu            sync.Mutex // held to write and to follow
	writer        *Writer    // who may write, nil for nobody
	held          int        // payload bytes in the ring
	lastTimestamp int64
	lastArrival   time.Time
	keyframeOpen  bool      // the newest key frame has not ended yet
	untold        time.Time // when the oldest packet came that followers have not been woken for; zero: there is none
}

func newLayer(rid string, codec Codec) *Layer {
	n := videoSlots
	if codec.Name.Kind() == KindAudio {
		n = audioSlots
	}
	l := &Layer{rid: rid, codec: codec, slots: make([]atomic.Pointer[Packet], n)}
	l.keyframe.Store(-1)
	l.followers.Store(new([]chan<- struct{}))
	return l
}

// RID is the restriction identifier of the layer (RFC 8851), empty when the track has only one.
func (l *Layer) RID() string { return l.rid }

// Codec is what the layer is encoded with; it never changes.
func (l *Layer) Codec() Codec { return l.codec }

// Head is the sequence number that the next packet will get at the least. Everything below it is there, lost, or let go.
func (l *Layer) Head() int64 { return l.head.Load() }

// Tail is the oldest sequence number that may still be there. A reader below it has been overrun.
func (l *Layer) Tail() int64 { return l.tail.Load() }

// Keyframe is the sequence number from which a new viewer can be started, and whether there is one.
// For audio that is the newest packet.
func (l *Layer) Keyframe() (int64, bool) {
	if l.codec.Name.Kind() == KindAudio {
		n := l.head.Load()
		return max(n-1, 0), n > 0
	}
	k := l.keyframe.Load()
	return k, k >= 0
}

// Get returns the packet with this sequence number, nil when it was lost on its way here,
// has been let go, or has not come yet.
func (l *Layer) Get(seq int64) *Packet {
	if seq < 0 {
		return nil
	}
	if p := l.slots[seq&int64(len(l.slots)-1)].Load(); p != nil && p.Seq == seq {
		return p
	}
	return nil
}

// Clock is the newest known relation of timestamps and time; false until the first packet.
func (l *Layer) Clock() (Clock, bool) {
	if c := l.clock.Load(); c != nil {
		return *c, true
	}
	return Clock{}, false
}

// TimestampAt is what the layer's timestamp is, or will be, at that time.
func (c Clock) TimestampAt(at time.Time, rate uint32) int64 {
	return c.Timestamp + durationToUnits(at.Sub(c.Wall), rate)
}

// Size is width and height in pixels of the newest key frame, 0 and 0 when not known.
func (l *Layer) Size() (width, height int) {
	s := l.size.Load()
	return int(s >> 32), int(s & 0xffffffff)
}

// LayerStats counts what has been written to a layer since the broadcast began.
type LayerStats struct {
	Packets, Bytes, Lost, Keyframes uint64
}

// Stats is a snapshot of the counters.
func (l *Layer) Stats() LayerStats {
	return LayerStats{l.packets.Load(), l.bytes.Load(), l.lost.Load(), l.keyframes.Load()}
}

// Follow has wake sent to, without ever waiting for it, after each frame that is written, and
// after every packet of one that takes longer than GatherTime to come. The channel should have room for one; it is never closed. The caller calls unfollow, once, when done.
func (l *Layer) Follow(wake chan<- struct{}) (unfollow func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setFollowers(append(slices.Clone(*l.followers.Load()), wake))
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		list := slices.Clone(*l.followers.Load())
		if i := slices.Index(list, wake); i >= 0 {
			l.setFollowers(slices.Delete(list, i, i+1))
		}
	}
}

func (l *Layer) setFollowers(list []chan<- struct{}) { l.followers.Store(&list) }

// RequestKeyframe asks the broadcaster for a key frame of this layer. Requests of many
// viewers are merged by the session that feeds it; it may never be answered (OBS ignores it).
func (l *Layer) RequestKeyframe() {
	if l.codec.Name.Kind() != KindVideo || l.wanted.Swap(true) {
		return
	}
	if p := l.feeder.Load(); p != nil {
		p.poke()
	}
}

// append puts p into the ring, which must be newer than all before. The caller holds l.mu.
func (l *Layer) append(p *Packet) {
	head := l.head.Load()
	if gap := p.Seq - head; gap > 0 {
		l.lost.Add(uint64(gap))
		if l.keyframeOpen {
			l.keyframe.Store(-1) // nobody can be started from half a key frame
			l.keyframeOpen = false
		}
	}
	video := l.codec.Name.Kind() == KindVideo
	l.makeRoom(p, video)
	l.slots[p.Seq&int64(len(l.slots)-1)].Store(p)
	l.held += len(p.Payload)
	if video {
		if p.Keyframe {
			l.keyframe.Store(p.Seq)
			l.keyframes.Add(1)
			l.keyframeOpen = true
			l.wanted.Store(false)
		}
		if p.FrameEnd {
			l.keyframeOpen = false
		}
	}
	l.packets.Add(1)
	l.bytes.Add(uint64(len(p.Payload)))
	l.lastTimestamp, l.lastArrival = p.Timestamp, p.Arrival
	l.head.Store(p.Seq + 1)
	if l.untold.IsZero() {
		l.untold = p.Arrival
	}
}

// due tells whether followers are to be woken for what has been appended, the newest of it p. The caller holds l.mu and wakes them.
func (l *Layer) due(p *Packet) bool {
	if !p.FrameEnd && p.Arrival.Sub(l.untold) < GatherTime {
		return false
	}
	l.untold = time.Time{}
	return true
}

// makeRoom lets go what the bounds do not allow to keep beside p.
func (l *Layer) makeRoom(p *Packet, video bool) {
	tail := l.tail.Load()
	keyframe := l.keyframe.Load()
	for ; tail < p.Seq; tail++ {
		if tail >= l.head.Load() {
			continue // a gap before p: nothing stands there
		}
		over := p.Seq-tail >= int64(len(l.slots)) || l.held+len(p.Payload) > layerBytes
		slot := &l.slots[tail&int64(len(l.slots)-1)]
		old := slot.Load()
		if !over {
			if video && keyframe >= 0 && tail >= keyframe {
				break
			}
			if old != nil && p.Arrival.Sub(old.Arrival) <= repairTime {
				break
			}
		}
		if old != nil && old.Seq == tail {
			slot.Store(nil)
			l.held -= len(old.Payload)
		}
		if tail == keyframe {
			l.keyframe.Store(-1)
			l.keyframeOpen = false
			keyframe = -1
		}
	}
	l.tail.Store(min(tail, p.Seq))
}

func (l *Layer) wake() {
	for _, c := range *l.followers.Load() {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

func durationToUnits(d time.Duration, rate uint32) int64 {
	whole, rest := d/time.Second, d%time.Second
	return int64(whole)*int64(rate) + int64(rest)*int64(rate)/int64(time.Second)
}
