package ingest

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/pion/interceptor/pkg/twcc"
	"github.com/pion/rtp"

	"siaran"
)

const (
	maxPayload = 1500 // bytes, as the hub has it
	maxStep    = 3000 // a step back of more numbers than this is looked at twice (RFC 3550 appendix A.1)
)

// receiver takes the packets of one broadcaster and brings them to the hub. It is called from
// the transport's goroutines and from the session's.
type receiver struct {
	wake  chan<- struct{} // told, without waiting, when something new is missing
	epoch time.Time

	mu       sync.Mutex
	demux    demux
	header   rtp.Header // kept so that its slices are
	trip     time.Duration
	clock    clock
	ssrc     uint32 // that we report as
	feedback *twcc.Recorder
	ccID     uint8
	reduced  bool // feedback may be sent without a report before it (RFC 5506)
	first    time.Time
	last     time.Time // when a packet of a layer last came
	strays   uint64    // packets that belong to no layer
	seqs     []int64   // scratch
}

func newReceiver(wake chan<- struct{}) *receiver {
	return &receiver{wake: wake, epoch: time.Now(), trip: initialTrip, ssrc: rand.Uint32() | 1}
}

// attach tells where packets go; what comes before is lost.
func (r *receiver) attach(offer *siaran.Offer, chosen []choice, publication *siaran.Publication) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.demux = newDemux(offer, chosen, publication)
	r.reduced = true
	for i := range chosen {
		r.reduced = r.reduced && chosen[i].section.RTCPReduced
		if id := chosen[i].extension(uriTransportCC); id != 0 && r.feedback == nil {
			r.ccID, r.feedback = id, twcc.NewRecorder(r.ssrc)
		}
	}
}

// rtp takes a decrypted packet. The bytes are not kept.
func (r *receiver) rtp(data []byte, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, err := r.header.Unmarshal(data)
	if err != nil || n > len(data) {
		r.strays++
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
	if s == nil || s.retired || !ok || len(payload) > maxPayload {
		r.strays++
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

// stripPadding takes off what the P bit announces (RFC 3550 section 5.1).
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

// original takes a packet of a layer's own source, sent for the first time or again.
func (r *receiver) original(s *source, h *rtp.Header, payload []byte, now time.Time) {
	l := s.layer
	if l.source != s {
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
	s.jumped = -1
	if fresh {
		s.advance(h.SequenceNumber, h.Timestamp)
	}
	s.reception.count(seq, timestamp, units(now.Sub(r.epoch), l.choice.codec.ClockRate), fresh)
	if h.PayloadType != l.choice.codec.PayloadType {
		payload = nil // such as comfort noise: nothing that viewers know
	}
	r.put(s, packet{seq + s.seqOffset, timestamp + s.timeOffset, h.Marker, payload, now})
}

// repair takes a retransmission: the number of the original, and its payload (RFC 4588 section 4).
func (r *receiver) repair(s *source, h *rtp.Header, payload []byte, now time.Time) {
	seq, timestamp := s.extend(h.SequenceNumber, h.Timestamp)
	fresh := !s.reception.started || seq > s.highest
	if fresh {
		s.advance(h.SequenceNumber, h.Timestamp)
	}
	s.reception.count(seq, timestamp, units(now.Sub(r.epoch), s.layer.choice.codec.ClockRate), fresh)
	original := s.layer.source
	if original == nil || len(payload) <= 2 {
		return // padding that probes the path
	}
	seq, timestamp = original.extend(binary.BigEndian.Uint16(payload), h.Timestamp)
	if seq > original.highest+1 {
		return // of another life of the source
	}
	if seq == original.highest+1 {
		original.advance(binary.BigEndian.Uint16(payload), h.Timestamp)
	}
	r.put(original, packet{seq + original.seqOffset, timestamp + original.timeOffset, h.Marker, payload[2:], now})
}

func (r *receiver) put(s *source, p packet) {
	l := s.layer
	if len(p.payload) > 0 {
		p.payload = append([]byte(nil), p.payload...)
	}
	if p.seq > l.lastSeq || l.lastArrival.IsZero() {
		l.lastSeq, l.lastTime, l.lastArrival = p.seq, p.timestamp, p.arrival
	}
	gaps := len(l.order.gaps)
	was, m := l.order.put(p, l.emit)
	l.counts.take(p, was)
	if was == recovered && m.times > 0 {
		l.counts.Recovered++
		if m.times == 1 {
			r.trip += (p.arrival.Sub(m.asked) - r.trip) / 4
		}
	}
	if len(l.order.gaps) > gaps {
		poke(r.wake)
	}
}

// lastPacket is when the last packet of a layer came; the zero time before the first.
func (r *receiver) lastPacket() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
