package ingest

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
)

const (
	silence     = 2 * time.Second // without media, after which viewers are told
	lingerTime  = 5 * time.Second
	tickWaiting = 5 * time.Millisecond
	tickUsual   = 100 * time.Millisecond

	hangUp = "the broadcaster hung up"
)

// ending is how a session ends.
type ending int

const (
	vanished ending = iota // the broadcast waits for the broadcaster to come back
	stopped                // the broadcast ends with it
)

// session is one broadcaster's. Its goroutine, run, alone ends it.
type session struct {
	server *Server
	info   siaran.SessionInfo
	id     siaran.SessionID
	since  time.Time
	log    *slog.Logger

	transport   *transport
	receiver    *receiver
	publication *siaran.Publication

	wake   chan struct{} // something is missing, or the transport's state has changed
	gone   chan string   // why the broadcaster is to be seen as gone, from the transport
	finish chan ending   // a wish from outside
	done   chan struct{} // closed when nothing of the session is left

	connected  atomic.Bool
	silent     atomic.Bool
	candidates int // taken so far; guarded by server.mu

	// owned by run
	up    time.Time // when the transport came up
	times feedbackTimes
	asked bool // viewers have asked for a key frame, and one request is still held back
}

func newSession(server *Server, stream siaran.StreamName, owner string, offer *siaran.Offer, l local) *session {
	s := &session{
		server: server, id: siaran.NewSessionID(), since: time.Now(),
		info: siaran.SessionInfo{
			Stream: stream, Owner: owner, Tag: l.ufrag, RemoteUfrag: offer.Ufrag, RemotePassword: offer.Password,
		},
		wake: make(chan struct{}, 1), gone: make(chan string, 1), finish: make(chan ending, 1), done: make(chan struct{}),
	}
	s.log = server.log.With("stream", stream, "session", s.id.String())
	s.receiver = newReceiver(s.wake)
	return s
}

// sinks are where the transport delivers to.
func (s *session) sinks() sinks {
	return sinks{
		rtp:     func(b []byte) { s.receiver.rtp(b, time.Now()) },
		rtcp:    func(b []byte) { s.receiver.rtcp(b, time.Now()) },
		state:   func() { poke(s.wake) },
		hangUp:  func() { s.leave(hangUp) },
		flooded: func() { s.leave("it sends reports about too many sources") },
	}
}

// leave makes the session end for a reason that its transport has found.
func (s *session) leave(reason string) {
	select {
	case s.gone <- reason:
	default:
	}
}

// wish asks the session to end; done tells when it has.
func (s *session) wish(how ending) {
	select {
	case s.finish <- how:
	default: // it is ending already
	}
}

// run is the session's life from its answer on.
func (s *session) run() {
	defer close(s.done)
	s.log.Info("broadcaster's session opened")
	reason := s.serve()
	if reason == hangUp {
		s.linger()
	}
	select {
	case how := <-s.finish: // it came while the session was ending by itself
		s.take(how)
	default:
	}
	s.publication.Abandon()
	s.server.forget(s)
	s.transport.close()
	s.log.Info("broadcaster's session ended", "reason", reason, "connected", s.connected.Load(), "lasted", time.Since(s.since).Round(time.Millisecond))
}

// serve works until the session is over, and says why it is.
func (s *session) serve() (reason string) {
	timer := time.NewTimer(tickUsual)
	defer timer.Stop()
	for {
		select {
		case how := <-s.finish:
			return s.take(how)
		case <-s.publication.Done():
			return s.publication.Err().Error()
		case reason := <-s.gone:
			return reason
		case <-s.publication.KeyframeRequests():
			s.asked = true
		case <-s.wake:
		case <-timer.C:
		}
		now := time.Now()
		if reason := s.over(now); reason != "" {
			return reason
		}
		timer.Reset(s.work(now))
	}
}

func (s *session) take(how ending) (reason string) {
	if how == stopped {
		s.publication.Stop()
		return "stopped"
	}
	return "the server ends its sessions"
}

// linger keeps a session that has hung up for a moment in which it can still be ended: OBS closes
// DTLS first and sends the DELETE that ends the broadcast afterwards.
func (s *session) linger() {
	s.publication.Interrupt()
	s.silent.Store(true)
	s.transport.close()
	s.publication.Interrupt() // packets that were on their way have made it live again
	select {
	case how := <-s.finish:
		s.take(how)
	case <-s.publication.Done():
	case <-time.After(lingerTime):
	}
}

// over tells why the session is to end now, if it is.
func (s *session) over(now time.Time) string {
	switch s.transport.state() {
	case webrtc.PeerConnectionStateConnected:
		if s.up.IsZero() {
			s.up = now
			s.connected.Store(true)
			s.log.Info("broadcaster connected", "after", now.Sub(s.since).Round(time.Millisecond))
		}
	case webrtc.PeerConnectionStateFailed, webrtc.PeerConnectionStateClosed:
		if s.up.IsZero() {
			return "the connection failed"
		}
		return "the broadcaster is gone"
	}
	limit := s.server.cfg.SetupTimeout
	switch {
	case s.up.IsZero() && now.Sub(s.since) > limit:
		return "it did not connect in time"
	case !s.up.IsZero() && s.receiver.lastPacket().IsZero() && now.Sub(s.up) > limit:
		return "no media came in time"
	}
	return ""
}

// work says what there is to say to the broadcaster, and returns how long it can wait until it is called again.
func (s *session) work(now time.Time) time.Duration {
	if s.up.IsZero() {
		return tickUsual
	}
	last := s.receiver.lastPacket()
	switch quiet := !last.IsZero() && now.Sub(last) > silence; {
	case quiet && !s.silent.Swap(true):
		s.publication.Interrupt()
	case !quiet:
		s.silent.Store(false)
	}
	out, waiting := s.receiver.say(now, &s.times)
	s.transport.send(out)
	out, s.asked = s.receiver.wantKeyframes(now, s.asked)
	s.transport.send(out)
	s.receiver.measure(now)
	if waiting {
		return tickWaiting
	}
	return tickUsual
}

// health is a snapshot for the broadcaster.
func (s *session) health() Health {
	h := Health{Since: s.since, Connected: s.connected.Load(), Silent: s.silent.Load(), Transport: s.transport.mux.network(), Layers: s.receiver.health(time.Now())}
	h.warn()
	return h
}
