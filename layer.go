package siaran

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds on what a layer keeps. Whichever is reached first applies.
const (
	videoSlots  = 1 << 14 // packets; 10 s of 15 Mbit/s
	audioSlots  = 1 << 9
	layerBytes  = 32 << 20
	repairTime  = 2 * time.Second // packets older than this and than the newest key frame are dropped
	maxGap      = 1 << 10         // a larger step in the sequence numbers is a restart, not a loss
	minimumStep = 10 * time.Millisecond
)

// GatherTime is how long the packets of an incomplete frame may accumulate before the followers of a layer are woken:
// wake-ups cost more than packets.
const GatherTime = 2 * time.Millisecond

// FrameMemory is the number of frames whose arrival times a layer keeps.
const FrameMemory = 5

// epoch is the origin of stored times. It holds a monotonic clock reading, so steps of the wall clock change nothing.
var epoch = time.Now()

// Clock relates a layer's timestamps to the time of day: the sample with Timestamp was taken at Wall. Wall is on this
// server's clock, shifted by a constant that is the same for all tracks of one broadcaster, so that sender reports made
// from it keep audio and video in sync.
type Clock struct {
	Wall      time.Time
	Timestamp int64 // in the layer's units
}

// Layer is one encoding of one track: a ring of packets with one writer and many readers. Its sequence numbers continue
// without a jump for as long as the broadcast lasts, whichever session feeds it. All methods may be called from any
// goroutine; those of readers take no lock.
type Layer struct {
	rid   string
	codec Codec

	slots    []atomic.Pointer[Packet] // the packet at index i has Seq = i modulo the length, a power of two
	head     atomic.Int64             // one past the newest packet
	tail     atomic.Int64             // the oldest packet that may be there
	keyframe atomic.Int64             // first packet of the newest key frame without losses so far, -1 when there is none

	clock     atomic.Pointer[Clock]
	size      atomic.Uint64 // width and height, 32 bits each
	sizes     atomic.Pointer[[]Size]
	parts     parts
	format    atomic.Pointer[Format]
	followers atomic.Pointer[[]chan<- struct{}]
	wanted    atomic.Bool  // a viewer has asked for a key frame
	needed    atomic.Int64 // when somebody last said so, in nanoseconds after epoch; 0 for never
	resting   atomic.Bool
	feeder    atomic.Pointer[Publication]

	packets, bytes, lost, keyframes, backward atomic.Uint64

	budget     *budget                   // of the broadcast
	frames     atomic.Int64              // that have begun
	frameTimes [FrameMemory]atomic.Int64 // when the newest of them began to arrive, in nanoseconds after epoch

	mu            sync.Mutex // held to write and to follow
	writer        *Writer    // the one that may write; nil for none
	held          int        // bytes that the packets in the ring cost
	granted       int        // bytes that they may cost at present; taken from budget
	lastTimestamp int64
	tsOffset      int64 // of the writer that wrote last
	pulled        bool  // that writer's broadcast came from another server
	lastArrival   time.Time
	keyframeOpen  bool      // the newest key frame has not ended yet
	keyframeStamp int64     // its timestamp
	pendingSince  time.Time // arrival of the oldest packet that followers have not been woken for; zero for none
}

// newLayer makes a layer, or returns nil when the budget lacks the memory that every layer needs.
func newLayer(rid string, codec Codec, budget *budget) *Layer {
	n, floor := videoSlots, videoFloor
	if codec.Name.Kind() == KindAudio {
		n, floor = audioSlots, audioFloor
	}
	if !budget.take(floor + n*slotBytes) {
		return nil
	}
	l := &Layer{rid: rid, codec: codec, budget: budget, granted: floor, slots: make([]atomic.Pointer[Packet], n)}
	l.keyframe.Store(-1)
	l.followers.Store(new([]chan<- struct{}))
	return l
}

// close drops all packets and returns their memory to the budget. Nothing is written afterwards.
func (l *Layer) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	l.budget.give(l.granted + len(l.slots)*slotBytes)
	l.granted = 0
}

// empty drops all packets, and what is known of the picture: nothing of one broadcast is shown in the next one.
func (l *Layer) empty() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop()
	l.giveBack(0)
	l.size.Store(0)
}

func (l *Layer) drop() {
	for i := range l.slots {
		l.slots[i].Store(nil)
	}
	l.keyframe.Store(-1)
	l.keyframeOpen = false
	l.tail.Store(l.head.Load())
	l.held = 0
}

// cost is the memory that the packet takes, in bytes: the allocator rounds up by an eighth at most.
func (p *Packet) cost() int {
	n := len(p.Payload) + len(p.Payload)/8 + packetCost
	if p.Apart != nil {
		n += p.Apart.cost(p.Payload)
	}
	return n
}

// RID is the restriction identifier of the layer (RFC 8851), empty when the track has only one.
func (l *Layer) RID() string { return l.rid }

// Codec is the codec of the layer; it never changes.
func (l *Layer) Codec() Codec { return l.codec }

// Head is the lowest sequence number that the next packet can get. Everything below is in the ring, lost, or dropped.
func (l *Layer) Head() int64 { return l.head.Load() }

// Tail is the oldest sequence number that may still be in the ring. A reader below it has been overrun.
func (l *Layer) Tail() int64 { return l.tail.Load() }

// Keyframe is the sequence number from which a new viewer can start, and whether there is one.
// For audio that is the newest packet.
func (l *Layer) Keyframe() (int64, bool) {
	if l.codec.Name.Kind() == KindAudio {
		n := l.head.Load()
		return max(n-1, 0), n > 0
	}
	k := l.keyframe.Load()
	return k, k >= 0
}

// Get returns the packet with this sequence number, nil when it was lost on its way here, has been dropped, or has not
// arrived yet.
func (l *Layer) Get(seq int64) *Packet {
	if seq < 0 {
		return nil
	}
	if p := l.slots[seq&int64(len(l.slots)-1)].Load(); p != nil && p.Seq == seq {
		return p
	}
	return nil
}

// Apart reports whether the newest packet has an [Apart].
func (l *Layer) Apart() bool {
	newest := l.Get(l.Head() - 1)
	return newest != nil && newest.Apart != nil
}

// Clock is the newest relation of timestamps to the time of day; false until the first packet.
func (l *Layer) Clock() (Clock, bool) {
	if c := l.clock.Load(); c != nil {
		return *c, true
	}
	return Clock{}, false
}

// TimestampAt is the layer's timestamp at a time, past or future. rate is in timestamp units per second.
func (c Clock) TimestampAt(at time.Time, rate uint32) int64 {
	return c.Timestamp + durationToUnits(at.Sub(c.Wall), rate)
}

// Size is the size of the newest key frame in pixels, 0 and 0 when it is not known.
func (l *Layer) Size() (width, height int) {
	s := l.size.Load()
	return int(s >> 32), int(s & 0xffffffff)
}

// Format is what the newest key frame says about the encoding; the zero value before the first.
func (l *Layer) Format() Format {
	if f := l.format.Load(); f != nil {
		return *f
	}
	return Format{}
}

// FrameTimes returns when the newest n frames began to arrive, newest first.
func (l *Layer) FrameTimes() (times [FrameMemory]time.Time, n int) {
	count := l.frames.Load()
	for n < FrameMemory && int64(n) < count {
		times[n] = epoch.Add(time.Duration(l.frameTimes[(count-1-int64(n))%FrameMemory].Load()))
		n++
	}
	return times, n
}

// LayerStats counts what has been written to a layer since the broadcast began.
type LayerStats struct {
	Packets, Bytes, Lost, Keyframes uint64
	Backward                        uint64 // frames that are shown before one sent earlier; see [Frame]
}

// Stats returns a snapshot of the counters.
func (l *Layer) Stats() LayerStats {
	return LayerStats{l.packets.Load(), l.bytes.Load(), l.lost.Load(), l.keyframes.Load(), l.backward.Load()}
}

// Follow sends to wake, without ever waiting, after each complete frame, and with a packet of an incomplete one that
// comes GatherTime or more after the first that nobody was woken for. The channel should have room for one value; it is
// never closed. The caller calls unfollow once, when done.
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

// RequestKeyframe asks the broadcaster for a key frame of this layer. It returns false if one has been asked for before
// and has not come. The session that feeds the layer merges the requests of many viewers. A request may never be
// answered: OBS ignores it.
func (l *Layer) RequestKeyframe() bool {
	if l.codec.Name.Kind() != KindVideo || l.wanted.Swap(true) {
		return false
	}
	if p := l.feeder.Load(); p != nil {
		p.poke()
	}
	return true
}

// append puts p, which must be newer than every packet before it, into the ring. The caller holds l.mu.
func (l *Layer) append(p *Packet) {
	head := l.head.Load()
	if gap := p.Seq - head; gap > 0 {
		l.lost.Add(uint64(gap))
		if l.keyframeOpen || p.Timestamp == l.keyframeStamp {
			l.keyframe.Store(-1) // no viewer can start from an incomplete key frame
			l.keyframeOpen = false
		}
	}
	video := l.codec.Name.Kind() == KindVideo
	l.makeRoom(p, video)
	l.slots[p.Seq&int64(len(l.slots)-1)].Store(p)
	l.held += p.cost()
	if video {
		if p.Keyframe {
			l.keyframe.Store(p.Seq)
			l.keyframes.Add(1)
			l.keyframeOpen, l.keyframeStamp = true, p.Timestamp
			l.wanted.Store(false)
		}
		if p.FrameEnd || p.Timestamp != l.keyframeStamp {
			l.keyframeOpen = false
		}
	}
	l.packets.Add(1)
	l.bytes.Add(uint64(len(p.Payload)))
	l.parts.count(p)
	if n := l.frames.Load(); n == 0 || p.Timestamp != l.lastTimestamp {
		l.frameTimes[n%FrameMemory].Store(int64(p.Arrival.Sub(epoch)))
		l.frames.Store(n + 1)
	}
	l.lastTimestamp, l.lastArrival = p.Timestamp, p.Arrival
	l.head.Store(p.Seq + 1)
	if l.pendingSince.IsZero() {
		l.pendingSince = p.Arrival
	}
}

// shouldWake reports whether followers must be woken now that p has been appended. The caller holds l.mu.
func (l *Layer) shouldWake(p *Packet) bool {
	if !p.FrameEnd && p.Arrival.Sub(l.pendingSince) < GatherTime {
		return false
	}
	l.pendingSince = time.Time{}
	return true
}

// makeRoom drops packets until p fits within the bounds.
func (l *Layer) makeRoom(p *Packet, video bool) {
	tail := l.tail.Load()
	keyframe := l.keyframe.Load()
	for ; tail < p.Seq; tail++ {
		if tail >= l.head.Load() {
			continue // a gap before p: the slots are empty
		}
		slot := &l.slots[tail&int64(len(l.slots)-1)]
		old := slot.Load()
		if p.Seq-tail < int64(len(l.slots)) && l.held+p.cost() <= layerBytes {
			young := old != nil && p.Arrival.Sub(old.Arrival) <= repairTime
			if (young || video && keyframe >= 0 && tail >= keyframe) && l.mayHold(l.held+p.cost()) {
				break
			}
		}
		if old != nil && old.Seq == tail {
			slot.Store(nil)
			l.held -= old.cost()
		}
		if tail == keyframe {
			l.keyframe.Store(-1)
			l.keyframeOpen = false
			keyframe = -1
		}
	}
	l.tail.Store(min(tail, p.Seq))
	l.giveBack(l.held + p.cost())
}

// mayHold reports whether the ring may cost so many bytes. It takes more from the budget if it has to.
func (l *Layer) mayHold(bytes int) bool {
	for bytes > l.granted {
		if !l.budget.take(grantBytes) {
			return false
		}
		l.granted += grantBytes
	}
	return true
}

// giveBack returns memory that is not needed. It keeps one grant to spare, so that a ring whose size varies a little
// does not take and return memory with every packet.
func (l *Layer) giveBack(bytes int) {
	floor := videoFloor
	if l.codec.Name.Kind() == KindAudio {
		floor = audioFloor
	}
	spare := (l.granted - max(bytes, floor)) / grantBytes
	if spare > 1 {
		l.budget.give((spare - 1) * grantBytes)
		l.granted -= (spare - 1) * grantBytes
	}
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
