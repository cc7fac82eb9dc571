package ingest

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"siaran"
	"siaran/internal/measure"
)

// Stats counts what the server has done since it started.
type Stats struct {
	Sessions int // of broadcasters and pulls, connected or not, and offers being answered
	Setups   int // those that are not connected yet
	Silent   int // those without media at the moment
	Pulls    int // those that get a stream from another server

	MaxSessions, MaxSetups int

	Outcomes  map[string]uint64 // of offers of broadcasters: "connected", one of siaran.Refusals, or how it failed
	Endings   map[string]uint64 // of connected sessions
	Handshake measure.Snapshot  // from the answer until ICE and DTLS are up
	Media     measure.Snapshot  // from there to the first packet of media
	Received  Received
}

// Received counts what has come from broadcasters and parents.
type Received struct {
	Packets, Bytes      uint64 // of media, without headers
	Lost                uint64 // packets that never came
	Asked               uint64 // requests to send a packet again
	Recovered           uint64 // packets that came after a request
	Duplicates          uint64 // packets that came again, or too late
	Dropped             uint64 // packets over the accepted bitrate or packet rate
	KeyframeRequests    uint64 // sent
	KeyframesAnswered   uint64 // a key frame followed within a second
	BackwardFrames, Odd uint64 // frames with a timestamp before the previous one's; jumps of timestamps
}

func (r *Received) add(o Received) {
	r.Packets += o.Packets
	r.Bytes += o.Bytes
	r.Lost += o.Lost
	r.Asked += o.Asked
	r.Recovered += o.Recovered
	r.Duplicates += o.Duplicates
	r.Dropped += o.Dropped
	r.KeyframeRequests += o.KeyframeRequests
	r.KeyframesAnswered += o.KeyframesAnswered
	r.BackwardFrames += o.BackwardFrames
	r.Odd += o.Odd
}

// totals returns what has come in this session.
func (r *receiver) totals() Received {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := Received{Dropped: r.dropped}
	for _, l := range r.demux.layers {
		c := &l.counts
		sum.add(Received{
			Packets: c.Packets, Bytes: c.Bytes, Lost: l.order.lost, Asked: c.Asked, Recovered: c.Recovered,
			Duplicates: c.Duplicates, KeyframeRequests: c.KeyframeRequests, KeyframesAnswered: c.KeyframesAnswered,
			BackwardFrames: c.BackwardFrames, Odd: c.timing.jumps,
		})
	}
	return sum
}

// joinCounters measure how sessions begin and end.
type joinCounters struct {
	handshake, media  *measure.Histogram
	outcomes, endings measure.Tally

	// Guarded by the server's mu.
	received Received // in sessions that are over
	running  map[*session]struct{}
}

func newJoinCounters() joinCounters {
	return joinCounters{
		handshake: measure.New(measure.Joins), media: measure.New(measure.Joins), running: make(map[*session]struct{}),
	}
}

// Stats sums up the counters of all sessions.
func (s *Server) Stats() Stats {
	c := &s.joins
	st := Stats{
		MaxSessions: s.limits.Load().MaxSessions, MaxSetups: s.limits.Load().settingUp(),
		Outcomes: c.outcomes.Snapshot(), Endings: c.endings.Snapshot(),
		Handshake: c.handshake.Snapshot(), Media: c.media.Snapshot(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Sessions, st.Setups, st.Received = s.opening+len(s.sessions), s.opening, c.received
	for _, sess := range s.sessions {
		if !sess.connected.Load() {
			st.Setups++
		}
		if sess.silent.Load() {
			st.Silent++
		}
		if sess.pulled != nil {
			st.Pulls++
		}
	}
	for sess := range c.running {
		st.Received.add(sess.receiver.totals())
	}
	return st
}

// count counts how a session has ended, and tells its trace.
func (s *session) count(why error) {
	tally, reason, path := &s.server.joins.outcomes, "given_up", ""
	switch {
	case s.connected.Load():
		tally, reason, path = &s.server.joins.endings, endingName(why), s.transport.network()
	case errors.Is(why, errSlowToMeet), errors.Is(why, errUnconnected):
		reason = "no_connection"
	}
	if s.pulled == nil {
		tally.Count(reason)
	}
	s.trace.End(measure.SessionEnd{
		Stream: string(s.info.Stream), Session: s.id.String(), Path: path,
		Reason: reason, Failed: slices.Contains(unwanted, reason), From: s.since, To: time.Now(),
	})
}

// unwanted are endings and outcomes that neither side has asked for.
var unwanted = []string{"fault", "flood", "lost", "no_media", "failed", "no_connection"}

// endingName names why a session has ended.
func endingName(why error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{errHungUp, "hung_up"}, {errStopped, "stopped"}, {errShutdown, "closing"}, {errFaulty, "fault"},
		{errReports, "flood"}, {errHandshake, "flood"}, {errGone, "lost"}, {errSlowToSend, "no_media"},
		{siaran.ErrTakenOver, "taken_over"}, {siaran.ErrEnded, "ended"},
	} {
		if errors.Is(why, known.err) {
			return known.name
		}
	}
	return "failed"
}

// SessionState is a session as an operator sees it. It holds nothing with which the session could be changed.
type SessionState struct {
	Stream  siaran.StreamName `json:"stream"`
	Session string            `json:"session"` // the first characters of its id, as in the log
	Pulled  bool              `json:"pulled"`  // from another server
	Age     float64           `json:"age"`     // seconds since the offer
	Health  Health            `json:"health"`
}

// States describes at most limit sessions, of one stream unless it is empty, the oldest first. all is how many there
// are.
func (s *Server) States(stream siaran.StreamName, limit int) (list []SessionState, all int) {
	s.mu.Lock()
	var some []*session
	for _, sess := range s.sessions {
		if stream == "" || sess.info.Stream == stream {
			some = append(some, sess)
		}
	}
	s.mu.Unlock()
	slices.SortFunc(some, func(a, b *session) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.id, b.id)) })
	for _, sess := range some[:min(limit, len(some))] {
		list = append(list, SessionState{
			Stream: sess.info.Stream, Session: sess.id.String(), Pulled: sess.pulled != nil,
			Age: time.Since(sess.since).Seconds(), Health: sess.health(),
		})
	}
	return list, len(some)
}
