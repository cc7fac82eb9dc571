package ingest

import (
	"time"

	"siaran"
)

// How losses are repaired.
const (
	askAfter     = 5 * time.Millisecond // most packets that are late by reordering have come by then
	askTimes     = 6
	leastTimes   = 2 // before it is given up early; this process may have been late itself
	leastAgain   = 20 * time.Millisecond
	mostAgain    = 80 * time.Millisecond
	leastWait    = 120 * time.Millisecond // for a missing packet
	mostWait     = 250 * time.Millisecond
	waitUnasked  = 30 * time.Millisecond // where the broadcaster cannot be asked
	initialTrip  = 60 * time.Millisecond
	keyframeWait = 500 * time.Millisecond // between two requests for a layer
	answerTime   = time.Second            // within which a key frame counts as an answer to one
)

// layer is one encoding of a track, on its way into the hub.
type layer struct {
	choice *choice
	rid    string
	writer *siaran.Writer
	source *source // that is being taken, nil before the first packet
	order  reorder
	emit   func(packet) // l.write, kept so that it is made only once

	lastSeq, lastTime int64 // the newest that has come, in the layer's numbers
	lastArrival       time.Time

	asked       time.Time // for a key frame
	answered    bool      // one has come soon after that
	keyframes   uint64    // of the hub's layer, when last looked
	hadKeyframe bool      // in this session

	counts counts
}

func newLayer(c *choice, rid string, w *siaran.Writer) *layer {
	l := &layer{choice: c, rid: rid, writer: w, keyframes: w.Layer().Stats().Keyframes}
	l.order.window = audioWindow
	if c.section.Kind == siaran.KindVideo {
		l.order.window = videoWindow
	}
	l.emit = l.write
	return l
}

func (l *layer) video() bool { return l.choice.section.Kind == siaran.KindVideo }

// write gives a packet to the hub, in order.
func (l *layer) write(p packet) {
	l.counts.order(p)
	if l.writer.Write(p.seq, p.timestamp, p.marker, p.payload, p.arrival) != nil {
		return // the publication is over, and its owner hears of it
	}
	if !l.video() {
		return
	}
	if n := l.writer.Layer().Stats().Keyframes; n != l.keyframes {
		l.keyframes, l.hadKeyframe = n, true
		l.counts.keyframe(p.arrival)
		if d := p.arrival.Sub(l.asked); !l.answered && d < answerTime {
			l.answered = true
			l.counts.KeyframesAnswered++
		}
	}
}

// feed makes s the layer's source. A later one goes on where the one before has ended.
func (l *layer) feed(s *source, seq uint16, timestamp uint32, now time.Time) {
	first, stamp := s.extend(seq, timestamp)
	if before := l.source; before != nil {
		before.retired = true
		l.order.restart(l.emit)
		s.seqOffset = l.lastSeq + newBeginning - first
		s.timeOffset = l.lastTime + units(now.Sub(l.lastArrival), l.choice.codec.ClockRate) - stamp
	}
	l.source = s
}

// rebase lets a source that has jumped go on above its numbers before.
func (l *layer) rebase(s *source, seq uint16, timestamp uint32, now time.Time) {
	l.order.restart(l.emit)
	s.seqs, s.times = siaran.Unwrapper16{}, siaran.Unwrapper32{}
	first, stamp := s.extend(seq, timestamp)
	s.seqOffset = l.lastSeq + newBeginning - first
	s.timeOffset = l.lastTime + units(now.Sub(l.lastArrival), l.choice.codec.ClockRate) - stamp
	s.reception = reception{}
	s.jumped = -1
}

// again is how long to wait before asking once more, when a trip to the broadcaster and back takes trip.
func again(trip time.Duration) time.Duration { return min(max(trip*5/4, leastAgain), mostAgain) }

// expire gives up on what has been missing too long.
func (l *layer) expire(now time.Time, trip time.Duration) {
	if !l.choice.has("nack") {
		l.order.expire(now, waitUnasked, waitUnasked, 0, l.emit)
		return
	}
	wait := min(max(askAfter+3*again(trip), leastWait), mostWait)
	l.order.expire(now, wait, mostWait, leastTimes, l.emit)
}

func units(d time.Duration, rate uint32) int64 { return int64(d.Seconds() * float64(rate)) }
