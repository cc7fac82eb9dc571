package siaran

import (
	"time"
)

// Writer feeds one layer from one broadcaster's session. The first packet of a new writer follows the last one of the
// previous writer without a jump: the sequence number rises by one, and the timestamp by the time that has passed. Its
// methods are called by one goroutine at a time.
type Writer struct {
	layer     *Layer
	broadcast *Broadcast
	framer    Framer

	// guarded by layer.mu
	begun     bool
	last      int64 // the broadcaster's sequence number, once begun
	spliced   bool
	pulled    bool // it feeds what comes from another server
	seqOffset int64
	tsOffset  int64
	clock     *Clock // in the broadcaster's timestamps, until spliced
}

// Layer is the layer that the writer feeds.
func (w *Writer) Layer() *Layer { return w.layer }

// KeyframeWanted reports whether viewers have asked for a key frame since the last call. The session calls it when
// [Publication.KeyframeRequests] receives, no more often than it is willing to ask the broadcaster.
func (w *Writer) KeyframeWanted() bool { return w.layer.wanted.Swap(false) }

// Write adds a packet. seq and timestamp are the broadcaster's, extended to 64 bits. seq must rise from call to call; a
// packet that is out of order is dropped. The payload is kept, so the caller must not write to it again. Video is
// discarded until its first key frame. After ErrTakenOver or ErrEnded, every further call fails too.
func (w *Writer) Write(seq, timestamp int64, marker bool, payload []byte, arrival time.Time) error {
	return w.WriteDescribed(seq, timestamp, marker, payload, arrival, nil)
}

// WriteDescribed is Write for a packet whose broadcaster has described it, if described is not nil.
func (w *Writer) WriteDescribed(seq, timestamp int64, marker bool, payload []byte, arrival time.Time,
	described *Described) error {
	l := w.layer
	l.mu.Lock()
	if l.writer != w {
		l.mu.Unlock()
		return w.broadcast.writeError()
	}
	if !w.follows(seq, len(payload) > 0) {
		l.mu.Unlock()
		return nil
	}
	frame := w.framer.Next(payload, timestamp, marker)
	if described != nil {
		frame.Place = described.Place
		frame.LayerEnd = frame.LayerEnd || marker
		if len(described.Sizes) > 0 {
			frame.Sizes = described.Sizes
		}
	}
	frame.Place = frame.clamped()
	if !w.spliced {
		if !frame.Keyframe {
			l.mu.Unlock()
			return nil
		}
		if !w.resume(seq, timestamp, payload, int64(len(frame.Prefix)), arrival) {
			w.splice(seq, timestamp, arrival)
		}
		l.tsOffset, l.pulled = w.tsOffset, w.pulled
	}
	if seq+int64(len(frame.Prefix))+w.seqOffset < l.head.Load() { // it is here already; see resume
		w.seqOffset += int64(len(frame.Prefix))
		l.mu.Unlock()
		w.broadcast.fed(arrival, false)
		return nil
	}
	p := Packet{Timestamp: timestamp + w.tsOffset, Arrival: arrival, Place: frame.Place}
	if len(frame.Prefix) > 0 {
		w.prefix(frame.Prefix, frame.Keyframe, seq, &p)
	}
	p.Seq, p.Payload, p.Marker = seq+w.seqOffset, payload, marker
	p.Keyframe = frame.Keyframe && len(frame.Prefix) == 0
	p.FrameEnd = frame.End
	if described != nil {
		p.Apart = described.Apart
	}
	l.append(&p)
	if frame.Backward {
		l.backward.Add(1)
	}
	if frame.Format != nil {
		l.format.Store(frame.Format)
	}
	resized := false
	if frame.Width > 0 {
		size := uint64(frame.Width)<<32 | uint64(uint32(frame.Height))
		resized = l.size.Swap(size) != size
	}
	if frame.Keyframe || len(frame.Sizes) > 0 {
		l.sized(frame)
	}
	wake := l.shouldWake(&p)
	l.mu.Unlock()
	if wake {
		l.wake()
	}
	w.broadcast.fed(arrival, resized)
	return nil
}

// prefix adds packets with parameter sets before the packet p, which is numbered seq by the broadcaster.
func (w *Writer) prefix(sets [][]byte, keyframe bool, seq int64, p *Packet) {
	for i, parameters := range sets {
		set := Packet{
			Seq: seq + w.seqOffset, Timestamp: p.Timestamp, Arrival: p.Arrival,
			Payload: parameters, Keyframe: keyframe && i == 0, Place: p.Place,
		}
		set.LayerEnd = false
		w.layer.append(&set)
		w.seqOffset++
	}
}

// follows advances the sequence numbers to seq and reports whether there is a packet to be added. A packet without
// payload (padding alone) is taken out of the sequence, so that viewers see no loss.
func (w *Writer) follows(seq int64, carries bool) bool {
	if !w.begun {
		w.begun, w.last = true, seq-1
	}
	if seq <= w.last {
		return false
	}
	step := seq - w.last
	w.last = seq
	if step > 1 {
		w.framer.Lost()
	}
	if step > maxGap {
		w.seqOffset = w.layer.head.Load() + 1 - seq // leaves out one number, so that viewers see a loss
	}
	if !carries {
		w.seqOffset--
	}
	return carries
}

func (w *Writer) splice(seq, timestamp int64, arrival time.Time) {
	l := w.layer
	w.spliced = true
	w.seqOffset = l.head.Load() - seq
	if !l.lastArrival.IsZero() {
		passed := max(arrival.Sub(l.lastArrival), minimumStep)
		w.tsOffset = l.lastTimestamp + durationToUnits(passed, l.codec.ClockRate) - timestamp
	}
	if w.clock == nil {
		w.clock = &Clock{Wall: arrival, Timestamp: timestamp}
	}
	l.clock.Store(&Clock{Wall: w.clock.Wall, Timestamp: w.clock.Timestamp + w.tsOffset})
}

// SetClock takes what a sender report says (RFC 3550 section 6.4.1): the sample with this timestamp of the broadcaster
// was taken at wall; see [Clock].
func (w *Writer) SetClock(wall time.Time, timestamp int64) {
	l := w.layer
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writer != w {
		return
	}
	w.clock = &Clock{Wall: wall, Timestamp: timestamp}
	if w.spliced {
		l.clock.Store(&Clock{Wall: wall, Timestamp: timestamp + w.tsOffset})
	}
}
