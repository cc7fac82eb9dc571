package ingest

import (
	"errors"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/sdp"
)

const (
	silence     = 2 * time.Second // without media, after which viewers see an interruption
	lingerTime  = 5 * time.Second
	tickWaiting = 5 * time.Millisecond
	tickUsual   = 100 * time.Millisecond

	rttInterval = time.Second // connectivity checks measure it about every 2 s
)

// Why a session ends, as its log says.
var (
	errHungUp      = errors.New("the broadcaster hung up")
	errStopped     = errors.New("stopped")
	errShutdown    = errors.New("the server is shutting down")
	errFaulty      = errors.New("a fault of the server")
	errReports     = errors.New("it sends reports about too many SSRCs")
	errHandshake   = errors.New("its DTLS handshake has too much data")
	errUnconnected = errors.New("the connection failed")
	errGone        = errors.New("the broadcaster is gone")
	errSlowToMeet  = errors.New("it did not connect in time")
	errSlowToSend  = errors.New("no media came in time")
)

// ending is how a session ends.
type ending int

const (
	vanished ending = iota // the broadcast waits for the broadcaster to come back
	stopped                // the broadcast ends with the session
	closed                 // as vanished, for a pull that is closed
)

// session is the session of one broadcaster, or a pull. Only its own goroutine, run, ends it.
type session struct {
	server *Server
	pulled *Pulled // nil for a broadcaster
	info   siaran.SessionInfo
	id     siaran.SessionID
	since  time.Time
	trace  measure.Trace
	from   netip.Addr // where its offer came from; guarded by server.mu
	log    *slog.Logger

	restarts sdp.RestartAnswer // what all answers to a restart have in common

	transport   *transport
	receiver    *receiver
	publication *siaran.Publication

	wake        chan struct{} // a packet is missing, or the transport's state has changed
	aborted     chan error    // reason for the end, from the transport
	endRequests chan ending   // from outside the session
	done        chan struct{} // closed when nothing of the session is left

	connected atomic.Bool
	silent    atomic.Bool

	// guarded by server.mu
	candidates int // accepted so far in this ICE session
	restarted  bool
	near       reach
	contest    contest

	// owned by run
	answered time.Time
	met      time.Time // when ICE had found a path
	keyed    bool      // a key frame has come
	up       time.Time // when the transport came up
	fed      bool      // media has come
	rttRead  time.Time // when the round trip time was last read
	absent   time.Time // since when the parent has not been heard; zero: it is there
	times    feedbackTimes
	asked    bool // a viewer's request for a key frame is still held back
}

func newSession(server *Server, stream siaran.StreamName, owner string, offer *sdp.Offer, l local) *session {
	s := &session{
		server: server, id: siaran.NewSessionID(), since: time.Now(), trace: measure.NoTrace,
		info: siaran.SessionInfo{
			Stream: stream, Owner: owner, Tag: l.ufrag, RemoteUfrag: offer.Ufrag, RemotePassword: offer.Password,
		},
		wake: make(chan struct{}, 1), aborted: make(chan error, 1),
		endRequests: make(chan ending, 1), done: make(chan struct{}),
	}
	s.log = server.log.With("from", "broadcaster", "stream", stream, "session", s.id.String())
	s.receiver = newReceiver(s.wake)
	limits := server.limits.Load()
	s.receiver.rate.limit, s.receiver.packets.limit = limits.MaxBitrate/8, limits.MaxPacketRate
	return s
}

// take returns those of further candidates that pion is to have. Those of a restart it needs only while it has no path:
// otherwise the broadcaster's checks show where it is. The caller holds server.mu.
func (s *session) take(candidates []string) []string {
	usable := usableCandidates(candidates, maxCandidates-s.candidates, s.near)
	s.candidates += len(usable)
	if s.restarted && s.connected.Load() {
		return nil
	}
	return usable
}

// sinks returns what the transport calls.
func (s *session) sinks() sinks {
	return sinks{
		rtp:     func(b []byte) { s.guarded(func() { s.receiver.rtp(b, time.Now()) }) },
		rtcp:    func(b []byte) { s.guarded(func() { s.receiver.rtcp(b, time.Now()) }) },
		state:   func() { poke(s.wake) },
		hangUp:  func() { s.abort(errHungUp) },
		flooded: func() { s.abort(errReports) },
		spent:   func() { s.abort(errHandshake) },
	}
}

// guarded runs do on what the other side has sent. A panic ends this session and no other.
func (s *session) guarded(do func()) {
	defer s.server.mux.faults.Recover("a broadcaster's media", func() { s.abort(errFaulty) })
	do()
}

// abort makes the session end for a reason found by its transport.
func (s *session) abort(reason error) {
	select {
	case s.aborted <- reason:
	default:
	}
}

// requestEnd asks the session to end; done is closed when it has ended.
func (s *session) requestEnd(how ending) {
	select {
	case s.endRequests <- how:
	default: // it is ending already
	}
}

// run runs the session from its answer to its end.
func (s *session) run() {
	defer close(s.done)
	s.log.Info("session opened")
	reason := s.serve()
	if reason == errHungUp && s.pulled == nil {
		s.linger()
	}
	select {
	case how := <-s.endRequests: // requested while the session was ending by itself
		_ = s.finish(how) // it ends for its first reason
	default:
	}
	if s.pulled != nil {
		s.pulled.err = pullError(reason)
	}
	s.publication.Abandon()
	s.server.forget(s, reason)
	s.count(reason)
	s.transport.close()
	s.log.Info("session ended", "reason", reason, "connected", s.connected.Load(),
		"lasted", time.Since(s.since).Round(time.Millisecond))
}

// serve works until the session is over, and returns the reason.
func (s *session) serve() (reason error) {
	defer s.server.mux.faults.Recover("a session of ingest", func() { reason = errFaulty })
	timer := time.NewTimer(tickUsual)
	defer timer.Stop()
	for {
		select {
		case how := <-s.endRequests:
			return s.finish(how)
		case <-s.publication.Done():
			return s.publication.Err()
		case reason := <-s.aborted:
			return reason
		case <-s.publication.KeyframeRequests():
			s.asked = true
		case <-s.wake:
		case <-timer.C:
		}
		now := time.Now()
		if reason := s.endReason(now); reason != nil {
			return reason
		}
		timer.Reset(s.work(now))
	}
}

func (s *session) finish(how ending) (reason error) {
	switch how {
	case stopped:
		s.publication.Stop()
		return errStopped
	case closed:
		return ErrPullClosed
	}
	return errShutdown
}

// linger keeps a session whose broadcaster has hung up for lingerTime, so that it can still be ended by request: OBS
// closes DTLS first, and then sends the DELETE that ends the broadcast.
func (s *session) linger() {
	s.publication.Interrupt()
	s.silent.Store(true)
	s.transport.close()
	s.publication.Interrupt() // packets in flight may have made it live again
	select {
	case how := <-s.endRequests:
		_ = s.finish(how) // it ends for its first reason
	case <-s.publication.Done():
	case <-time.After(lingerTime):
	}
}

// endReason returns why the session has to end now, nil when it does not.
func (s *session) endReason(now time.Time) error {
	state := s.transport.state()
	if s.met.IsZero() {
		if s.met = s.transport.met(); !s.met.IsZero() {
			s.trace.Part("ICE", s.answered, s.met)
		}
	}
	switch state {
	case webrtc.PeerConnectionStateConnected:
		if s.up.IsZero() {
			if s.up = orZero(s.transport.ready.Load()); s.up.IsZero() {
				s.up = now // pion is about to tell
			}
			s.connected.Store(true)
			s.trace.Part("DTLS", s.met, s.up)
			if s.pulled == nil {
				s.server.joins.outcomes.Count("connected")
				s.server.joins.handshake.Observe(s.up.Sub(s.since))
			}
			s.log.Info("connected", "after", s.up.Sub(s.since).Round(time.Millisecond))
		}
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		if s.up.IsZero() {
			return errUnconnected
		}
		return errGone
	}
	if s.pulled != nil {
		return s.parentGone(state, now)
	}
	limit := s.server.limits.Load().SetupTimeout
	switch {
	case s.up.IsZero() && now.Sub(s.since) > limit:
		return errSlowToMeet
	case !s.up.IsZero() && s.receiver.lastPacket().IsZero() && now.Sub(s.up) > limit:
		return errSlowToSend
	}
	return nil
}

// firsts is when the first packet and the first key frame came, which a busy machine may see before it sees that the
// session is connected. They count from then on.
func (s *session) firsts() (packet, keyframe time.Time) {
	packet, keyframe = s.receiver.firsts()
	for _, at := range []*time.Time{&packet, &keyframe} {
		if !at.IsZero() && at.Before(s.up) {
			*at = s.up
		}
	}
	return packet, keyframe
}

// work sends the feedback that is due, and returns when it has to be called again.
func (s *session) work(now time.Time) time.Duration {
	if s.up.IsZero() {
		return tickUsual
	}
	last := s.receiver.lastPacket()
	if !s.fed && !last.IsZero() {
		s.fed = true
		first, _ := s.firsts()
		s.trace.Part("first packet", s.up, first)
		if s.pulled == nil {
			s.server.joins.media.Observe(first.Sub(s.up))
		}
	}
	if s.fed && !s.keyed && s.trace != measure.NoTrace {
		if first, at := s.firsts(); !at.IsZero() {
			s.keyed = true
			s.trace.Part("first key frame", first, at)
		}
	}
	switch quiet := !last.IsZero() && now.Sub(last) > silence; {
	case quiet && !s.silent.Swap(true):
		s.publication.Interrupt()
	case !quiet:
		s.silent.Store(false)
	}
	if now.Sub(s.rttRead) >= rttInterval {
		s.rttRead = now
		if rtt := s.transport.rtt(); rtt > 0 {
			s.receiver.observeRTT(rtt)
		}
	}
	if s.pulled != nil { // before the requests for key frames of what is to come again
		s.transport.send(s.receiver.datagrams(s.receiver.duePauses(now)))
	}
	out, waiting := s.receiver.dueFeedback(now, &s.times)
	s.transport.send(s.receiver.datagrams(out))
	out, s.asked = s.receiver.dueKeyframeRequests(now, s.asked)
	s.transport.send(s.receiver.datagrams(out))
	s.receiver.measure(now)
	if s.pulled != nil {
		s.transport.send(s.receiver.datagrams(s.pulled.audience.due(now, s.receiver.ssrc)))
	}
	if waiting {
		return tickWaiting
	}
	return tickUsual
}

// health returns a snapshot for the broadcaster.
func (s *session) health() Health {
	h := Health{
		Since: s.since, Connected: s.connected.Load(), Silent: s.silent.Load(),
		Transport: s.transport.network(), Layers: s.receiver.health(time.Now()),
	}
	h = s.receiver.addRate(h, time.Now())
	h.warn()
	return h
}
