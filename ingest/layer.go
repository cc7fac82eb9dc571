package ingest

import (
	"time"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// How losses are repaired.
const (
	askAfter         = 5 * time.Millisecond // most reordered packets have arrived by then
	maxAttempts      = 6
	answerMargin     = 10 * time.Millisecond // on top of a round trip, for the broadcaster to answer
	minAttempts      = 2                     // before giving up early; this process may have been slow itself
	minRetryInterval = 20 * time.Millisecond
	maxRetryInterval = 200 * time.Millisecond
	minWait          = 120 * time.Millisecond // for a missing packet
	maxWait          = 800 * time.Millisecond
	waitWithoutNACK  = 30 * time.Millisecond // when the broadcaster does not take requests
	maxUnanswered    = 100                   // requests after which it counts as one that does not
	initialRTT       = 60 * time.Millisecond
	keyframeWait     = 500 * time.Millisecond // between two requests for a key frame of a layer
	answerTime       = time.Second            // within which a key frame counts as the answer to a request
)

// layer is one encoding of a track on its way into the hub.
type layer struct {
	choice  *choice
	rid     string
	writer  *siaran.Writer
	current *rtpSource // the SSRC that feeds it; nil before the first packet
	order   reorder
	emit    func(packet) // l.write, kept so that it is allocated only once
	fixer   frameFixer
	fixed   func(packet) // l.deliver, likewise

	descriptorID uint8 // of the header extension; 0: there is none
	descriptors  codec.Descriptors
	spatial      bool // AV1 with spatial layers has come, so that viewers may take descriptors

	lastSeq, lastTime int64 // of the newest packet, in the layer's numbers
	lastArrival       time.Time

	repairs     bool      // retransmissions come by an SSRC of their own
	unanswered  int       // packets requested since something last came again
	lossesSeen  uint64    // for which a key frame has been requested
	asked       time.Time // when a key frame was last requested
	heard       bool      // something followed within answerTime
	answered    bool      // a key frame did
	keyframes   uint64    // of the hub's layer, when last read
	hadKeyframe bool      // in this session
	backward    uint64    // frames of the hub's layer from earlier sessions

	counts counts
	demand demand
}

func newLayer(c *choice, rid string, w *siaran.Writer) *layer {
	stats := w.Layer().Stats()
	l := &layer{choice: c, rid: rid, writer: w, keyframes: stats.Keyframes, backward: stats.Backward}
	l.order.window = audioWindow
	if c.section.Kind == siaran.KindVideo {
		l.order.window = videoWindow
	}
	l.emit, l.fixed = l.write, l.deliver
	l.fixer.av1 = c.codec.Name == siaran.AV1
	l.descriptorID = c.extension(sdp.URIDescriptor)
	return l
}

func (l *layer) video() bool { return l.choice.section.Kind == siaran.KindVideo }

// describe returns what a packet's dependency descriptor says, nil when there is none that can be read.
//
// Spatial layers of AV1 can be taken apart for those who take the descriptor. Without one, Chromium decodes a temporal
// unit only as one frame, to which [codec.JoinAV1] has joined them.
func (l *layer) describe(p packet) *siaran.Described {
	if len(p.descriptor) == 0 {
		return nil
	}
	described := l.descriptors.Read(p.descriptor, p.timestamp)
	if l.spatial = l.spatial || l.fixer.av1 && l.descriptors.Spatials() > 1; !l.spatial {
		return described
	}
	if described == nil {
		return &siaran.Described{}
	}
	described.Apart = l.descriptors.Apart(p.descriptor, p.asSent())
	if described.Apart == nil {
		return &siaran.Described{}
	}
	return described
}

// descriptor returns the dependency descriptor in a packet's header, empty when there is none.
func (l *layer) descriptor(h *rtp.Header) []byte {
	if l.descriptorID == 0 {
		return nil
	}
	return h.GetExtension(l.descriptorID)
}

// write takes the packets that reorder emits, in order.
func (l *layer) write(p packet) {
	if l.demand.paused {
		return // it was under way when the layer was paused
	}
	if l.demand.waking {
		l.demand.wakes(l)
	}
	l.counts.order(p, l.choice.codec.ClockRate)
	if l.video() {
		l.fixer.put(p, l.fixed)
	} else {
		l.deliver(p)
	}
}

// deliver writes a packet to the hub.
func (l *layer) deliver(p packet) {
	if l.writer.WriteDescribed(p.seq, p.timestamp, p.marker, p.payload, p.arrival, l.describe(p)) != nil {
		return // the publication is over, and the session learns of it by itself
	}
	if !l.video() {
		return
	}
	if d := p.arrival.Sub(l.asked); !l.heard && d > 0 && d < answerTime {
		l.heard = true
		l.counts.tried++
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

// feed makes s the SSRC that feeds the layer. It continues where the previous one ended.
func (l *layer) feed(s *rtpSource, seq uint16, timestamp uint32, now time.Time) {
	first, stamp := s.extend(seq, timestamp)
	if before := l.current; before != nil {
		before.retired = true
		l.order.restart(l.emit)
		l.counts.timing.restart()
		s.seqOffset = l.lastSeq + restartGap - first
		s.timeOffset = l.lastTime + units(now.Sub(l.lastArrival), l.choice.codec.ClockRate) - stamp
	}
	l.current = s
}

// rebase lets an SSRC whose numbers have jumped continue above its earlier ones.
func (l *layer) rebase(s *rtpSource, seq uint16, timestamp uint32, now time.Time) {
	l.order.restart(l.emit)
	l.counts.timing.restart()
	s.seqs, s.times = siaran.Unwrapper16{}, siaran.Unwrapper32{}
	first, stamp := s.extend(seq, timestamp)
	s.seqOffset = l.lastSeq + restartGap - first
	s.timeOffset = l.lastTime + units(now.Sub(l.lastArrival), l.choice.codec.ClockRate) - stamp
	s.reception = reception{}
	s.jumped = -1
}

// retryInterval is the time between two requests for the same packet.
func retryInterval(rtt time.Duration) time.Duration {
	return min(max(rtt+answerMargin, minRetryInterval), maxRetryInterval)
}

// expire gives up on packets that have been missing for too long: when the answer to the last request (reorder.ask)
// should have come. A broadcaster that answers none is waited for no longer than one that does not take requests;
// any answer, even a late one, restores the trust.
func (l *layer) expire(now time.Time, rtt time.Duration) {
	if !l.choice.has("nack") || l.unanswered > maxUnanswered {
		l.order.expire(now, waitWithoutNACK, waitWithoutNACK, 0, l.emit)
		return
	}
	again := retryInterval(rtt)
	wait := min(max(askAfter+again+(maxAttempts-2)*again/2+again, minWait), maxWait)
	l.order.expire(now, wait, maxWait, minAttempts, l.emit)
}

// requestKeyframeAfterLoss requests a key frame when a packet has been given up on. Viewers would do so only after they
// have requested the packet itself, without success, for a second or more.
func (l *layer) requestKeyframeAfterLoss() {
	if l.order.lost > l.lossesSeen && l.video() {
		l.writer.Layer().RequestKeyframe()
	}
	l.lossesSeen = l.order.lost
}

func units(d time.Duration, rate uint32) int64 { return int64(d.Seconds() * float64(rate)) }

// duration is the time that n units of the timestamps take.
func duration(n int64, rate uint32) time.Duration {
	each := int64(rate)
	return time.Duration(n/each)*time.Second + time.Duration(n%each)*time.Second/time.Duration(each)
}
