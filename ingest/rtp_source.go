package ingest

import (
	"time"

	"siaran"
)

// returnTime is how long the SSRC that feeds a layer must have been silent before an earlier one may feed it again.
// What was under way when the other one began has arrived by then.
const returnTime = time.Second

// restartGap is the step in a layer's numbers when its SSRC changes or restarts: more than the hub takes for a loss.
const restartGap = 1 << 12

// rtpSource is the state of one SSRC of the broadcaster.
type rtpSource struct {
	ssrc    uint32
	layer   *layer
	repair  bool // it carries retransmissions (RFC 4588)
	retired bool // another one feeds the layer now
	gone    bool // it has said BYE
	heard   time.Time

	seqs        siaran.Unwrapper16
	times       siaran.Unwrapper32
	highest     int64 // sequence number, unwrapped
	latest      int64 // timestamp of that packet, unwrapped
	seqOffset   int64 // to be added to get the layer's numbers
	timeOffset  int64
	jumped      int64 // the number expected after a step back that is not believed yet, -1 for none
	reception   reception
	senderClock senderClock
}

// returns reports whether an SSRC whose layer another one has fed since feeds it again, and forgets its numbers then.
func (s *rtpSource) returns(now time.Time) bool {
	if s.repair || now.Sub(s.layer.lastArrival) < returnTime {
		return false
	}
	*s = rtpSource{ssrc: s.ssrc, layer: s.layer, jumped: -1}
	return true
}

// extend unwraps a packet's numbers without advancing.
func (s *rtpSource) extend(seq uint16, timestamp uint32) (int64, int64) {
	seqs, times := s.seqs, s.times
	return seqs.Unwrap(seq), times.Unwrap(timestamp)
}

// advance makes a packet that has just arrived the newest of this SSRC.
func (s *rtpSource) advance(seq uint16, timestamp uint32) {
	s.highest, s.latest = s.seqs.Unwrap(seq), s.times.Unwrap(timestamp)
}

// reception holds the counters for reports on an SSRC (RFC 3550 section 6.4.1).
type reception struct {
	started       bool
	base          int64
	received      int64
	expectedPrior int64
	receivedPrior int64
	transit       int64
	jitter        float64
}

// count counts a packet. at is its arrival in units of the timestamp's clock.
func (r *reception) count(seq, timestamp, at int64, fresh bool) {
	transit := at - timestamp
	if !r.started {
		*r = reception{started: true, base: seq, transit: transit}
	}
	r.base = min(r.base, seq)
	r.received++
	if fresh { // retransmissions say nothing about the jitter of the path
		d := transit - r.transit
		r.transit = transit
		r.jitter += (float64(max(d, -d)) - r.jitter) / 16
	}
}

// senderClock is what receiver reports need to say about the newest sender report.
type senderClock struct {
	ntp uint64
	at  time.Time
}
