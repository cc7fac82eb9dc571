package egress

import (
	"time"

	"siaran/internal/monotonic"
)

const (
	repairBurst  = 256 // packets
	repairFloor  = 100 // packets a second
	repairShare  = 4   // one repair for this many packets sent, in addition to the floor
	repairMemory = 128 // newest repairs that are remembered; a power of two
	repairTimes  = 4   // of one packet: some receivers keep asking for what they have received by RTX
	// A packet is not sent again before this, nor before half a round trip.
	repairPause = 10 * time.Millisecond
)

// repairBudget bounds the cost of one viewer's losses.
type repairBudget struct {
	tokens float64
	last   time.Time
	sent   uint64
	recent [repairMemory]repaired
}

// repaired is a packet that was sent again: the low bits of its number, and of the time in milliseconds.
type repaired struct {
	number, at uint16
	times      uint8
}

// take reports whether a packet may be repaired now, and counts it if so. sent is the number of packets sent so far.
// Half of the budget is reserved for packets that are asked for the first time.
func (b *repairBudget) take(now time.Time, number int64, roundTrip time.Duration, sent uint64) bool {
	if b.last.IsZero() {
		b.tokens, b.last = repairBurst, now
	}
	b.tokens += now.Sub(b.last).Seconds()*repairFloor + float64(sent-b.sent)/repairShare
	b.tokens = min(b.tokens, repairBurst)
	b.last, b.sent = now, sent

	r := &b.recent[number&(repairMemory-1)]
	at, enough := uint16(monotonic.Nanos(now)/int64(time.Millisecond)), 1.0
	if r.times > 0 && r.number == uint16(number) {
		if r.times == repairTimes || time.Duration(at-r.at)*time.Millisecond < max(repairPause, roundTrip/2) {
			return false
		}
		enough = repairBurst / 2
	} else {
		*r = repaired{number: uint16(number)}
	}
	if b.tokens < enough {
		return false
	}
	b.tokens--
	r.at = at
	r.times++
	return true
}

// lossReports adds up what a viewer reports as lost.
type lossReports struct {
	total int32  // in the newest report
	sent  uint64 // packets then
}

// newlyLost returns how many packets the viewer has lost since its last report, by its cumulative number (RFC 3550
// section 6.4.1). It may claim no more than it was sent.
func (t *track) newlyLost(total uint32) uint64 {
	now := int32(total<<8) >> 8 // 24 bits with a sign
	grown, sent := now-t.lost.total, t.sent-t.lost.sent
	t.lost = lossReports{now, t.sent}
	return min(uint64(max(grown, 0)), sent)
}
