package ingest

import "time"

const (
	contestTime  = 30 * time.Second
	sendingTime  = time.Second     // a session that has sent media within this is sending
	startingTime = 5 * time.Second // as is a new one, which needs time to connect
)

// contest protects a session that has taken over a stream from another session that was sending. Otherwise two encoders
// with the same token, which both reconnect by themselves, would take the stream from each other for ever.
type contest struct{ since, until time.Time }

func (c *contest) begin(now time.Time) { c.since, c.until = now, now.Add(contestTime) }

// refuses reports whether the session must not be taken over now. Each attempt extends the protection, so that an
// encoder which retries at growing intervals gives up before it succeeds.
func (c *contest) refuses(now time.Time) bool {
	if !now.Before(c.until) {
		return false
	}
	c.until = now.Add(now.Sub(c.since) + contestTime)
	return true
}

// sends reports whether media is coming, or may be about to come for the first time. A silent session may be taken
// over.
func (s *session) sends(now time.Time) bool {
	last := s.receiver.lastPacket()
	if last.IsZero() {
		return now.Sub(s.since) < startingTime
	}
	return !s.silent.Load() && now.Sub(last) < sendingTime
}
