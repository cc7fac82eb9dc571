package siaran

import (
	"time"
)

// Writer feeds one layer from one broadcaster's session. The first packet of a new writer
// follows the last of the one before without a jump: sequence numbers go on by one, and
// timestamps by the time that has passed. Its methods are for one goroutine at a time.
type Writer struct {
	layer     *Layer
	broadcast *Broadcast
	framer    *Framer

	// guarded by layer.mu
	begun     bool
	last      int64 // the source's sequence number, once begun
	spliced   bool
	seqOffset int64
	tsOffset  int64
	clock     *Clock // in the source's timestamps, until spliced
}

// Layer is where the packets go.
func (w *Writer) Layer() *Layer { return w.layer }

// KeyframeWanted tells, once for each time that viewers asked, that a key frame is wanted.
// The session calls it when [Publication.KeyframeRequests] fires and no more often than it
// means to ask the broadcaster.
func (w *Writer) KeyframeWanted() bool { return w.layer.wanted.Swap(false) }

// Write adds a packet. seq and timestamp are the source's own, extended beyond their
// wraps; seq must rise from call to call, and what is not in order any more is dropped.
// The payload is kept, so the caller must not touch it again. Video is held back until
// its first key frame. ErrTakenOver or ErrEnded mean that nothing more will be taken.
func (w *Writer) Write(seq, timestamp int64, marker bool, payload []byte, arrival time.Time) error {
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
	if !w.spliced {
		if !frame.Keyframe {
			l.mu.Unlock()
			return nil
		}
		w.splice(seq, timestamp, arrival)
	}
	p := Packet{Timestamp: timestamp + w.tsOffset, Arrival: arrival}
	for i, set := range frame.Prefix {
		set := Packet{Seq: seq + w.seqOffset, Timestamp: p.Timestamp, Arrival: arrival, Payload: set, Keyframe: frame.Keyframe && i == 0}
		l.append(&set)
		w.seqOffset++
	}
	p.Seq, p.Payload, p.Marker = seq+w.seqOffset, payload, marker
	p.Keyframe = frame.Keyframe && len(frame.Prefix) == 0
	p.FrameEnd = frame.End
	l.append(&p)
	resized := false
	if frame.Width > 0 {
		size := uint64(frame.Width)<<32 | uint64(uint32(frame.Height))
		resized = l.size.Swap(size) != size
	}
	due := l.due(&p)
	l.mu.Unlock()
	if due {
		l.wake()
	}
	w.broadcast.fed(arrival, resized)
	return nil
}

// follows brings the sequence numbers up to seq and tells whether there is a packet to be added. One
// that carries nothing (padding alone) is left out of the sequence, so that viewers see no loss.
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
		w.seqOffset = w.layer.head.Load() + 1 - seq // one number left out tells viewers of the loss
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

// SetClock takes what a sender report says (RFC 3550 section 6.4.1): the sample with the
// source's timestamp was taken at wall; see [Clock].
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
