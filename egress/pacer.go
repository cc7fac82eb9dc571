package egress

import "time"

const (
	startRate   = 24_000_000 / 8       // bytes a second for a key frame
	startBurst  = 16 << 10             // bytes that a viewer starts with: nothing is known of its path yet
	catchUp     = 4                    // times the layer's own rate, for what follows it
	minimumRate = 4_000_000 / 8        // bytes a second
	paceTick    = 4 * time.Millisecond // how often a worker looks after those that it paces
)

// pacer is a token bucket in bytes, of which burst may go at once.
type pacer struct {
	tokens int
	last   time.Time
}

// limit takes away what is more than burst.
func (p *pacer) limit(burst int) { p.tokens = min(p.tokens, burst) }

// refill adds what has become due at rate bytes a second.
func (p *pacer) refill(now time.Time, rate, burst int) {
	due := int(min(now.Sub(p.last), time.Second).Microseconds()) * rate / 1_000_000
	p.tokens = min(max(burst, int(paceTick.Microseconds())*2*rate/1_000_000), p.tokens+due)
	p.last = now
}

// ready tells whether a packet may go.
func (p *pacer) ready() bool { return p.tokens > 0 }

// charge takes a packet off that has gone.
func (p *pacer) charge(bytes int) { p.tokens -= bytes }
