package egress

import "time"

const (
	startRate   = 24_000_000 / 8       // bytes a second for a key frame
	startBurst  = 16 << 10             // bytes that a viewer starts with, as nothing is known of its path yet
	catchUp     = 4                    // times the layer's own rate, for what follows the key frame
	minimumRate = 4_000_000 / 8        // bytes a second
	paceTick    = 4 * time.Millisecond // how often a worker returns to viewers that wait for their pacer
)

// pacer is a token bucket in bytes.
type pacer struct {
	tokens int
	last   time.Time
}

// limit discards tokens beyond burst.
func (p *pacer) limit(burst int) { p.tokens = min(p.tokens, burst) }

// refill adds what is due at rate bytes a second, up to burst, or up to two ticks' worth if that is more.
func (p *pacer) refill(now time.Time, rate, burst int) {
	due := int(min(now.Sub(p.last), time.Second).Microseconds()) * rate / 1_000_000
	p.tokens = min(max(burst, int(paceTick.Microseconds())*2*rate/1_000_000), p.tokens+due)
	p.last = now
}

// ready reports whether a packet may be sent.
func (p *pacer) ready() bool { return p.tokens > 0 }

// charge takes off a packet that was sent.
func (p *pacer) charge(bytes int) { p.tokens -= bytes }
