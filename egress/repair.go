package egress

import "time"

const (
	repairBurst = 256 // packets
	repairFloor = 100 // packets a second
	repairShare = 4   // one repair for so many packets sent, beyond the floor
)

// repairBudget bounds what one viewer's losses may cost.
type repairBudget struct {
	tokens float64
	last   time.Time
	sent   uint64
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
