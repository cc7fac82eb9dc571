package egress

import "time"

const (
	paceBurst   = 16 << 10             // bytes that may go at once
	startRate   = 24_000_000 / 8       // bytes a second for the first key frame
	catchUp     = 4                    // times the layer's own rate, for what follows it
	minimumRate = 4_000_000 / 8        // bytes a second
	paceTick    = 4 * time.Millisecond // how often a worker looks after those that it paces
)

// pacer is a token bucket in bytes.
type pacer struct {
	tokens int
	last   time.Time
}

// reset fills the bucket.
func (p *pacer) reset(now time.Time) { p.tokens, p.last = paceBurst, now }

// refill adds what has become due at rate bytes a second.
func (p *pacer) refill(now time.Time, rate int) {
	p.tokens = min(paceBurst+int(paceTick*2/time.Millisecond)*rate/1000, p.tokens+int(now.Sub(p.last).Microseconds())*rate/1_000_000)
	p.last = now
}

// take tells whether a packet may go, and charges for it.
func (p *pacer) take(bytes int) bool {
	if p.tokens <= 0 {
		return false
	}
	p.tokens -= bytes
	return true
}
