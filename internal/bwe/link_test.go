package bwe

import (
	"math/rand/v2"
	"time"
)

// link is a simulated path: a bottleneck with a queue, then a delay. Times are since the start of the simulation.
type link struct {
	rate   func(at time.Duration) float64 // bits a second
	queue  time.Duration                  // longest, at the rate of the moment
	delay  time.Duration                  // each way
	loss   float64                        // of packets, at random
	jitter time.Duration                  // most, of each packet; keeps the order
	bucket float64                        // bytes that pass at once after a pause

	random  *rand.Rand
	waiting []transit
	bytes   int
	free    time.Duration // when the bottleneck is idle again
	tokens  float64
	filled  time.Duration
	last    time.Duration // arrival
}

// transit is a packet on its way.
type transit struct {
	flow    int
	number  uint16
	size    int
	sent    time.Duration
	arrival time.Duration
}

// wait is how long a packet that is sent now would wait.
func (l *link) wait(now time.Duration) time.Duration {
	rate := l.rate(now)
	if rate == 0 {
		rate = 1000
	}
	return time.Duration(float64(l.bytes*8) / rate * 1e9)
}

// send reports whether there was room for a packet.
func (l *link) send(p transit) bool {
	if l.wait(p.sent) > l.queue {
		return false
	}
	l.bytes += p.size
	l.waiting = append(l.waiting, p)
	return true
}

// run returns what leaves the bottleneck until then, with the times of arrival.
func (l *link) run(until time.Duration) (arrived []transit) {
	for len(l.waiting) > 0 {
		p := l.waiting[0]
		begin := max(l.free, p.sent)
		rate := l.rate(begin)
		if rate == 0 {
			l.free = until
			break
		}
		end := begin + time.Duration(float64(p.size*8)/rate*1e9)
		if l.bucket > 0 {
			l.tokens = min(l.bucket, l.tokens+(begin-l.filled).Seconds()*rate/8)
			l.filled = begin
			end = begin + time.Duration(max(0, float64(p.size)-l.tokens)*8/rate*1e9) + 100*time.Microsecond
		}
		if end > until {
			break
		}
		if l.bucket > 0 {
			l.tokens += (end-l.filled).Seconds()*rate/8 - float64(p.size)
			l.filled = end
		}
		l.free = end
		l.waiting = l.waiting[1:]
		l.bytes -= p.size
		if l.random.Float64() < l.loss {
			continue
		}
		p.arrival = end + l.delay
		if l.jitter > 0 {
			p.arrival += time.Duration(l.random.Int64N(int64(l.jitter)))
		}
		l.last = max(l.last, p.arrival)
		p.arrival = l.last
		arrived = append(arrived, p)
	}
	return arrived
}

// tcp is a loss-based flow in the manner of Reno (RFC 5681), with segments of 1,500 bytes.
type tcp struct {
	window    float64 // segments
	threshold float64
	flight    int
	acks      []time.Duration
	losses    []time.Duration
	recovered time.Duration // until then, losses belong to the last one
	delivered int           // bytes
}

const segment = 1500

func newTCP() *tcp { return &tcp{window: 10, threshold: 1000} }

func (f *tcp) step(l *link, now time.Duration) {
	for len(f.acks) > 0 && f.acks[0] <= now {
		f.acks = f.acks[1:]
		f.flight--
		f.delivered += segment
		if f.window < f.threshold {
			f.window++
		} else {
			f.window += 1 / f.window
		}
	}
	for len(f.losses) > 0 && f.losses[0] <= now {
		f.losses = f.losses[1:]
		f.flight--
		if now >= f.recovered {
			f.window = max(2, f.window/2)
			f.threshold = f.window
			f.recovered = now + 2*l.delay + l.wait(now)
		}
	}
	for f.flight < int(f.window) {
		f.flight++
		if !l.send(transit{flow: 1, size: segment, sent: now}) {
			f.losses = append(f.losses, now+2*l.delay+l.wait(now))
		}
	}
}

func (f *tcp) arrived(p transit, l *link) { f.acks = append(f.acks, p.arrival+l.delay) }
