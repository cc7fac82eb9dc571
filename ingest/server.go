package ingest

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/netaddr"
	"siaran/internal/sdp"
)

// Server serves broadcasters. Its methods may be called from any goroutine.
type Server struct {
	hub         *siaran.Hub
	cfg         Config
	log         *slog.Logger
	mux         *mux
	listener    *tcpListener // nil when TCP is not taken
	certificate atomic.Pointer[ownCertificate]
	limits      atomic.Pointer[Limits]

	life context.Context // of pulls that are beginning
	end  context.CancelFunc

	mu       sync.Mutex
	closed   bool
	opening  int // offers being answered, and pulls
	openers  netaddr.Tally
	idle     *sync.Cond
	sessions map[siaran.SessionID]*session
	joins    joinCounters
	running  sync.WaitGroup // of all sessions, including those no longer in the map
}

// New makes a server that publishes to hub.
func New(hub *siaran.Hub, cfg Config) (*Server, error) {
	cfg.consent = cmp.Or(cfg.consent, 30*time.Second)
	cfg.absence = cmp.Or(cfg.absence, parentSilence)
	cfg.firstCheck = cmp.Or(cfg.firstCheck, 5*time.Second)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Server{
		hub: hub, cfg: cfg, log: cfg.Logger,
		sessions: make(map[siaran.SessionID]*session), openers: make(netaddr.Tally), joins: newJoinCounters(),
	}
	s.idle = sync.NewCond(&s.mu)
	s.SetLimits(Limits{
		SetupTimeout: cfg.SetupTimeout, MaxSessions: cfg.MaxSessions, Share: cfg.Share,
		MaxBitrate: cfg.MaxBitrate, MaxPacketRate: cfg.MaxPacketRate, MaxLayers: cfg.MaxLayers,
	})
	s.life, s.end = context.WithCancel(context.Background())
	if err := s.UseCertificate(cfg.Certificate); err != nil {
		return nil, err
	}
	s.mux = newMux(cfg.Port)
	if cfg.TCP != nil {
		s.listener = newTCPListener(cfg.TCP, s.mux, cfg.firstCheck, cfg.Logger)
	}
	return s, nil
}

// SetLimits sets the limits of sessions that begin from now on. Those that there are stay.
func (s *Server) SetLimits(l Limits) { s.limits.Store(l.filled()) }

func (s *Server) find(id siaran.SessionID) (*session, error) {
	if sess := s.sessions[id]; sess != nil {
		return sess, nil
	}
	return nil, siaran.ErrUnknownSession
}

// Session describes a running session. It fails with ErrUnknownSession when there is none with this id.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, err := s.find(id)
	if err != nil {
		return siaran.SessionInfo{}, err
	}
	return sess.info, nil
}

// AddCandidates adds candidates of a broadcaster, as values of a=candidate. Those that cannot be used, and those beyond
// 32 per ICE session, are dropped. It fails with ErrUnknownSession, and with ErrTagChanged if tag is not that of the
// newest ICE session.
func (s *Server) AddCandidates(id siaran.SessionID, tag string, candidates []string) error {
	s.mu.Lock()
	sess, err := s.current(id, tag)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	usable := sess.take(candidates)
	s.mu.Unlock()
	sess.transport.add(usable)
	return nil
}

// current finds a session whose newest ICE session has this tag. The caller holds mu.
func (s *Server) current(id siaran.SessionID, tag string) (*session, error) {
	sess, err := s.find(id)
	if err == nil && sess.info.Tag != tag {
		err = siaran.ErrTagChanged
	}
	return sess, err
}

// Restart begins a new ICE session in a broadcaster's session (RFC 8445 section 9). Media goes on by the path of the
// one before until the broadcaster has nominated a path of the new one. It fails with ErrUnknownSession, and with
// ErrTagChanged if tag is not that of the newest ICE session.
func (s *Server) Restart(id siaran.SessionID, tag string, fragment *sdp.Fragment) (siaran.Restarted, error) {
	s.mu.Lock()
	sess, err := s.current(id, tag)
	if err != nil {
		s.mu.Unlock()
		return siaran.Restarted{}, err
	}
	c := sess.transport.mux.restart(fragment.Ufrag, fragment.Password)
	if c == nil {
		s.mu.Unlock()
		return siaran.Restarted{}, siaran.ErrUnknownSession
	}
	sess.info.Tag, sess.info.RemoteUfrag, sess.info.RemotePassword = c.ufrag, c.remoteUfrag, c.remotePassword
	sess.restarted, sess.candidates = true, 0
	usable := sess.take(fragment.Candidates)
	s.mu.Unlock()
	sess.transport.add(usable)
	answer := sess.restarts
	answer.Ufrag, answer.Password, answer.UDP = c.ufrag, c.password, announced(s.cfg.Addresses())
	if s.listener != nil {
		answer.TCP = announced(s.cfg.TCPAddresses())
	}
	return siaran.Restarted{Fragment: answer.Marshal(), Tag: c.ufrag}, nil
}

// Trace returns the trace of a session, or measure.NoTrace if it has none.
func (s *Server) Trace(id siaran.SessionID) measure.Trace {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess, err := s.find(id); err == nil {
		return sess.trace
	}
	return measure.NoTrace
}

// End ends a session and its broadcast because the broadcaster asked for it (RFC 9725 section 4.2). When it returns,
// nothing of the session is left. A second call fails with ErrUnknownSession.
func (s *Server) End(id siaran.SessionID) error {
	s.mu.Lock()
	sess, err := s.find(id)
	delete(s.sessions, id)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	sess.requestEnd(stopped)
	<-sess.done
	return nil
}

// Health describes how the broadcast of a stream arrives; false when no session here publishes it.
func (s *Server) Health(stream siaran.StreamName) (Health, bool) {
	s.mu.Lock()
	var newest *session
	for _, o := range s.sessions {
		if o.info.Stream == stream && (newest == nil || o.since.After(newest.since)) {
			newest = o
		}
	}
	s.mu.Unlock()
	if newest == nil {
		return Health{}, false
	}
	return newest.health(), true
}

// forget removes a session that ends. What a faulty one has counted is not read.
func (s *Server) forget(sess *session, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	delete(s.joins.running, sess)
	if why != errFaulty {
		s.joins.received.add(sess.receiver.totals())
	}
}

// Close ends all sessions and waits for them. Their broadcasts stay in the hub for its grace time.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.end()
	for s.opening > 0 {
		s.idle.Wait()
	}
	var list []*session
	for _, sess := range s.sessions {
		list = append(list, sess)
	}
	s.mu.Unlock()
	for _, sess := range list {
		sess.requestEnd(vanished)
	}
	s.running.Wait()
	if s.listener != nil {
		s.listener.end()
	}
	s.mux.close()
	return nil
}
