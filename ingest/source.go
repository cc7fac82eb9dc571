package ingest

import (
	"time"

	"siaran"
)

// newBeginning is how far the numbers of a layer go on when its source begins anew: more than
// the hub takes for a loss.
const newBeginning = 1 << 12

// source is one SSRC of the broadcaster.
type source struct {
	ssrc    uint32
	layer   *layer
	repair  bool // it carries retransmissions (RFC 4588)
	retired bool // the layer has another one now

	seqs        siaran.Unwrapper16
	times       siaran.Unwrapper32
	highest     int64 // as unwrapped
	latest      int64 // timestamp as unwrapped, of the packet with the highest number
	seqOffset   int64 // adds up to the layer's numbers
	timeOffset  int64
	jumped      int64 // number after a step back that was not believed yet, -1 for none
	reception   reception
	senderClock senderClock
}

// extend makes the layer's numbers of a packet's, without moving on.
func (s *source) extend(seq uint16, timestamp uint32) (int64, int64) {
	seqs, times := s.seqs, s.times
	return seqs.Unwrap(seq), times.Unwrap(timestamp)
}

// advance moves on to a packet of this SSRC that has just come.
func (s *source) advance(seq uint16, timestamp uint32) {
	s.highest, s.latest = s.seqs.Unwrap(seq), s.times.Unwrap(timestamp)
}

// reception counts what RFC 3550 section 6.4.1 has reported of a source.
type reception struct {
	started       bool
	base          int64
	received      int64
	expectedPrior int64
	receivedPrior int64
	transit       int64
	jitter        float64
}

// count takes a packet in. at is the arrival in units of the timestamp's clock.
func (r *reception) count(seq, timestamp, at int64, fresh bool) {
	transit := at - timestamp
	if !r.started {
		*r = reception{started: true, base: seq, transit: transit}
	}
	r.base = min(r.base, seq)
	r.received++
	if fresh { // resent packets say nothing about the path's jitter
		d := transit - r.transit
		r.transit = transit
		r.jitter += (float64(max(d, -d)) - r.jitter) / 16
	}
}

// senderClock is what the newest sender report said, for the receiver reports.
type senderClock struct {
	ntp uint64
	at  time.Time
}
