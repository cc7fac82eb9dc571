package ingest

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/sdp"
)

const (
	maxPayload = 1500   // bytes, as in the hub
	maxStep    = 3000   // a larger step back must be seen twice to be believed (RFC 3550 appendix A.1)
	maxPace    = 20_000 // packets a second; where more than these seem to be missing, the numbers have jumped
)

// receiver takes the packets of one broadcaster to the hub. It is called by the transport's goroutines and by the
// session's.
type receiver struct {
	wake  chan<- struct{} // receives, without blocking, when another packet is missing
	epoch time.Time

	mu       sync.Mutex
	demux    demux
	header   rtp.Header    // kept so that its slices are reused
	rtt      time.Duration // round trip to the broadcaster
	rttKnown bool
	clock    clock
	ssrc     uint32 // of our reports
	feedback *twcc.Recorder
	ccID     uint8
	first    time.Time
	last     time.Time // arrival of the newest packet of a layer
	rate     rate
	packets  rate
	dropped  uint64  // packets over the accepted bitrate or packet rate
	seqs     []int64 // scratch
}

func newReceiver(wake chan<- struct{}) *receiver {
	return &receiver{wake: wake, epoch: time.Now(), rtt: initialRTT, ssrc: rand.Uint32() | 1}
}

// attach connects the receiver to the hub. Packets that come earlier are lost.
func (r *receiver) attach(offer *sdp.Offer, chosen []choice, publication *siaran.Publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.demux = newDemux(offer, chosen, publication)
	for i := range chosen {
		if id := chosen[i].extension(sdp.URINumber); id != 0 && r.feedback == nil {
			r.ccID, r.feedback = id, twcc.NewRecorder(r.ssrc)
		}
	}
}

// rtp handles a decrypted packet. It does not keep the bytes.
func (r *receiver) rtp(data []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	// What is dropped is not in the congestion feedback either, so the broadcaster sends less.
	if !r.packets.admits(1, now) || !r.rate.admits(len(data), now) {
		r.dropped++
		return
	}
	n, err := r.header.Unmarshal(data)
	if err != nil || n > len(data) {
		return
	}
	h := &r.header
	if r.feedback != nil {
		if cc := h.GetExtension(r.ccID); len(cc) >= 2 {
			r.feedback.Record(h.SSRC, binary.BigEndian.Uint16(cc), now.Sub(r.epoch).Microseconds())
		}
	}
	payload, ok := stripPadding(h, data[n:])
	s := r.demux.find(h)
	if s != nil {
		s.heard = now
	}
	if s == nil || !ok || len(payload) > maxPayload || s.retired && !s.returns(now) {
		return
	}
	if r.first.IsZero() {
		r.first = now
	}
	r.last = now
	if s.repair {
		r.repair(s, h, payload, now)
	} else {
		r.original(s, h, payload, now)
	}
}

// stripPadding removes the padding that the P bit announces (RFC 3550 section 5.1).
func stripPadding(h *rtp.Header, payload []byte) ([]byte, bool) {
	if !h.Padding || len(payload) == 0 {
		return payload, true
	}
	n := int(payload[len(payload)-1])
	if n == 0 || n > len(payload) {
		return nil, false
	}
	return payload[:len(payload)-n], true
}

// original handles a packet of a layer's own SSRC, sent for the first time or again.
func (r *receiver) original(s *rtpSource, h *rtp.Header, payload []byte, now time.Time) {
	l := s.layer
	if l.current != s {
		l.feed(s, h.SequenceNumber, h.Timestamp, now)
	}
	seq, timestamp := s.extend(h.SequenceNumber, h.Timestamp)
	fresh := !s.reception.started || seq > s.highest
	if !fresh && s.highest-seq > maxStep {
		if s.jumped != int64(h.SequenceNumber) {
			s.jumped = int64(h.SequenceNumber + 1)
			return
		}
		l.rebase(s, h.SequenceNumber, h.Timestamp, now)
		seq, timestamp = s.extend(h.SequenceNumber, h.Timestamp)
		fresh = true
	}
	if ahead := seq - s.highest; s.reception.started && ahead > maxStep &&
		float64(ahead) > maxPace*now.Sub(l.lastArrival).Seconds() {
		l.rebase(s, h.SequenceNumber, h.Timestamp, now)
		seq, timestamp = s.extend(h.SequenceNumber, h.Timestamp)
	}
	s.jumped = -1
	if fresh {
		s.advance(h.SequenceNumber, h.Timestamp)
	}
	s.reception.count(seq, timestamp, units(now.Sub(r.epoch), l.choice.codec.ClockRate), fresh)
	if h.PayloadType != l.choice.codec.PayloadType {
		payload = nil // such as comfort noise, which viewers cannot decode
	}
	timestamp += s.timeOffset
	r.put(s, packet{
		seq: seq + s.seqOffset, timestamp: timestamp, marker: h.Marker,
		payload: payload, descriptor: l.descriptor(h), arrival: l.arrival(timestamp, now),
	}, false)
}

// repair handles a retransmission: the sequence number of the original, then its payload (RFC 4588 section 4).
func (r *receiver) repair(s *rtpSource, h *rtp.Header, payload []byte, now time.Time) {
	seq, timestamp := s.extend(h.SequenceNumber, h.Timestamp)
	fresh := !s.reception.started || seq > s.highest
	if fresh {
		s.advance(h.SequenceNumber, h.Timestamp)
	}
	s.reception.count(seq, timestamp, units(now.Sub(r.epoch), s.layer.choice.codec.ClockRate), fresh)
	original := s.layer.current
	if original == nil || len(payload) <= 2 {
		return // padding, to probe the path
	}
	seq, timestamp = original.extend(binary.BigEndian.Uint16(payload), h.Timestamp)
	if seq > original.highest+1 {
		return // from before the SSRC restarted
	}
	if seq == original.highest+1 {
		original.advance(binary.BigEndian.Uint16(payload), h.Timestamp)
	}
	r.put(original, packet{
		seq: seq + original.seqOffset, timestamp: timestamp + original.timeOffset, marker: h.Marker,
		payload: payload[2:], descriptor: s.layer.descriptor(h), arrival: now,
	}, true)
}

// put takes a packet of a layer. repair: it is a retransmission for sure.
func (r *receiver) put(s *rtpSource, p packet, repair bool) {
	l := s.layer
	if len(p.payload) > 0 {
		p.payload = append([]byte(nil), p.payload...)
		p.descriptor = append([]byte(nil), p.descriptor...)
	}
	if p.seq > l.lastSeq || l.lastArrival.IsZero() {
		l.lastSeq, l.lastTime, l.lastArrival = p.seq, p.timestamp, p.arrival
	}
	gaps := len(l.order.gaps)
	was, m := l.order.put(p, l.emit)
	l.counts.add(p, was)
	if was != taken {
		l.unanswered = 0
	}
	l.repairs = l.repairs || repair
	if was == recovered && m.attempts > 0 && (repair || !l.repairs) { // otherwise it was late
		l.counts.Recovered++
	}
	if len(l.order.gaps) > gaps {
		poke(r.wake)
	}
}

// observeRTT takes the round trip time of a connectivity check. The longest recent one counts: a request that is
// repeated before its answer can arrive brings the packet twice, and a packet that is given up before then is lost.
//
// The time that repairs take says less: a late packet that arrives by itself after a request looks like a quick
// repair.
func (r *receiver) observeRTT(rtt time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if rtt > r.rtt || !r.rttKnown {
		r.rtt, r.rttKnown = rtt, true
	} else {
		r.rtt -= (r.rtt - rtt) / 8
	}
}

// lastPacket returns when the newest packet of a layer arrived; the zero time before the first.
func (r *receiver) lastPacket() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// firsts returns when the first packet arrived, and the first key frame; zero: none yet. Of several key frames since
// the call before it returns a newer one.
func (r *receiver) firsts() (packet, keyframe time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.demux.layers {
		if at := l.counts.lastKeyframe; !at.IsZero() && (keyframe.IsZero() || at.Before(keyframe)) {
			keyframe = at
		}
	}
	return r.first, keyframe
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
