package egress

import "time"

const (
	repairMemory = 64 // newest repairs that are remembered, a power of two
	// A packet is not sent again sooner than this, or half a round trip.
	repairPause = 10 * time.Millisecond
	repairBurst = 256 // packets
	repairFloor = 100 // packets a second
	repairShare = 4   // one repair for so many packets sent, beyond the floor
)

// repairBudget bounds what one viewer's losses may cost.
type repairBudget struct {
	tokens float64
	last   time.Time
	sent   uint64
	recent [repairMemory]repaired
}

type repaired struct {
	number int64
	at     time.Time
}

// again tells whether number has been repaired so lately that its repair is still on the way.
func (b *repairBudget) again(now time.Time, number int64, roundTrip time.Duration) bool {
	r := &b.recent[number&(repairMemory-1)]
	if r.number == number && now.Sub(r.at) < max(repairPause, roundTrip/2) {
		return true
	}
	*r = repaired{number, now}
	return false
}

// take tells whether one more packet may be repaired; sent counts the packets sent so far.
func (b *repairBudget) take(now time.Time, sent uint64) bool {
	if b.last.IsZero() {
		b.tokens, b.last = repairBurst, now
	}
	b.tokens += now.Sub(b.last).Seconds()*repairFloor + float64(sent-b.sent)/repairShare
	b.tokens = min(b.tokens, repairBurst)
	b.last, b.sent = now, sent
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
