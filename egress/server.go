package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"siaran"
)

// What a configuration that leaves it open gets.
const (
	defaultSetupTimeout = 15 * time.Second
	defaultMaxSessions  = 5000
	defaultMaxSetups    = 1000
)

// Config is what a server needs besides hub and socket.
type Config struct {
	Certificate  *tls.Certificate // ECDSA; shared by all sessions (P23)
	SetupTimeout time.Duration    // until ICE and DTLS are done; 0 means 15 s (W26)
	MaxSessions  int              // 0 means 5000
	MaxSetups    int              // sessions that are not connected yet; 0 means 1000
	Workers      int              // 0 means one a CPU
	Logger       *slog.Logger     // nil means none
}

func (c *Config) complete() error {
	if c.Certificate == nil || len(c.Certificate.Certificate) == 0 {
		return errors.New("egress: a certificate is needed")
	}
	if c.SetupTimeout <= 0 {
		c.SetupTimeout = defaultSetupTimeout
	}
	if c.MaxSessions <= 0 {
		c.MaxSessions = defaultMaxSessions
	}
	if c.MaxSetups <= 0 {
		c.MaxSetups = defaultMaxSetups
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server holds the viewers of this machine. Its methods may be called from any goroutine.
type Server struct {
	hub         *siaran.Hub
	socket      *Socket
	cfg         Config
	fingerprint string
	workers     []*worker
	handshakes  chan struct{} // a token for each that may run

	ctx        context.Context
	cancel     context.CancelCauseFunc
	stop       context.CancelFunc // the workers', after all sessions
	running    sync.WaitGroup     // sessions and those who watch broadcasts for their end
	workersRun sync.WaitGroup

	mu        sync.Mutex
	closed    bool
	sessions  map[siaran.SessionID]*session
	setups    int
	audiences map[*siaran.Broadcast]context.Context // each ends with its broadcast
}

// New starts the workers. The socket is the caller's, and is closed after the server.
func New(hub *siaran.Hub, socket *Socket, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	fingerprint, err := certificateFingerprint(cfg.Certificate)
	if err != nil {
		return nil, err
	}
	s := &Server{
		hub: hub, socket: socket, cfg: cfg, fingerprint: fingerprint,
		handshakes: make(chan struct{}, 8*cfg.Workers),
		sessions:   make(map[siaran.SessionID]*session),
		audiences:  make(map[*siaran.Broadcast]context.Context),
	}
	s.ctx, s.cancel = context.WithCancelCause(context.Background())
	workerCtx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for range cfg.Workers {
		w := newWorker()
		s.workers = append(s.workers, w)
		s.workersRun.Go(func() { w.run(workerCtx) })
	}
	return s, nil
}

// Offer takes a viewer's WHEP offer (draft-ietf-wish-whep section 4.3) for a stream that is
// live or interrupted. It fails with ErrNotLive, ErrMalformedOffer, ErrUnacceptable,
// ErrTooManySessions or ErrClosed. The session outlives ctx.
func (s *Server) Offer(_ context.Context, stream siaran.StreamName, owner string, text []byte) (siaran.Answer, error) {
	broadcast, err := s.hub.Broadcast(stream)
	if err != nil {
		return siaran.Answer{}, err
	}
	offer, err := siaran.ParseOffer(text)
	if err != nil {
		return siaran.Answer{}, err
	}
	l := newLink(s.socket, randomText(6), randomText(18), offer.Ufrag)
	sess := &session{
		id: siaran.NewSessionID(), viewerID: siaran.NewViewerID(), owner: owner, offer: offer, tag: l.ufrag,
		broadcast: broadcast, link: l, cname: "siaran", done: make(chan struct{}),
	}
	answer, plans, err := s.answer(offer, broadcast, l)
	if err != nil {
		return siaran.Answer{}, err
	}
	sess.plans = plans
	l.rtcp = func(b []byte) {
		if v := sess.viewer.Load(); v != nil {
			sess.worker.push(v, b)
		}
	}
	if err := s.begin(sess); err != nil {
		return siaran.Answer{}, err
	}
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: sess.tag}, nil
}

// begin counts a session in and runs it.
func (s *Server) begin(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return siaran.ErrClosed
	}
	if len(s.sessions) >= s.cfg.MaxSessions || s.setups >= s.cfg.MaxSetups {
		return siaran.ErrTooManySessions
	}
	ctx, cancel := context.WithCancelCause(s.audience(sess.broadcast))
	sess.cancel = cancel
	sess.worker = s.leastLoaded()
	sess.worker.load.Add(1)
	s.sessions[sess.id] = sess
	s.setups++
	s.socket.register(sess.link)
	s.running.Go(func() {
		err := sess.run(ctx, s)
		cancel(err)
		s.forget(sess)
		level := slog.LevelInfo
		if errors.Is(err, errSetup) {
			level = slog.LevelWarn
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("left")
		}
		s.cfg.Logger.Log(context.Background(), level, "viewer gone", "stream", sess.broadcast.Stream(), "viewer", sess.viewerID, "why", err)
		close(sess.done)
	})
	return nil
}

// audience is the context of those who watch a broadcast. The caller holds s.mu.
func (s *Server) audience(b *siaran.Broadcast) context.Context {
	if ctx := s.audiences[b]; ctx != nil {
		return ctx
	}
	ctx, cancel := context.WithCancelCause(s.ctx)
	s.audiences[b] = ctx
	s.running.Go(func() {
		select {
		case <-b.Done():
		case <-s.ctx.Done():
		}
		s.mu.Lock()
		delete(s.audiences, b)
		s.mu.Unlock()
		cancel(siaran.ErrEnded)
	})
	return ctx
}

func (s *Server) leastLoaded() *worker {
	least := s.workers[0]
	for _, w := range s.workers[1:] {
		if w.load.Load() < least.load.Load() {
			least = w
		}
	}
	return least
}

// setupDone is called once by a session that has connected.
func (s *Server) setupDone(sess *session) {
	s.mu.Lock()
	s.setups--
	s.mu.Unlock()
	s.cfg.Logger.Info("viewer connected", "stream", sess.broadcast.Stream(), "viewer", sess.viewerID)
}

func (s *Server) forget(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	if !sess.connected.Load() {
		s.setups--
	}
	sess.worker.load.Add(-1)
}

// acquireHandshake waits for one of the places in which handshakes run: they cost much more than anything else here.
func (s *Server) acquireHandshake(ctx context.Context) error {
	select {
	case s.handshakes <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (s *Server) releaseHandshake() { <-s.handshakes }

func (s *Server) find(id siaran.SessionID) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess, nil
	}
	return nil, siaran.ErrUnknownSession
}

// Session describes a running session, or fails with ErrUnknownSession.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	sess, err := s.find(id)
	if err != nil {
		return siaran.SessionInfo{}, err
	}
	return siaran.SessionInfo{
		Stream: sess.broadcast.Stream(), Owner: sess.owner, Tag: sess.tag,
		RemoteUfrag: sess.offer.Ufrag, RemotePassword: sess.offer.Password,
	}, nil
}

// AddCandidates is where trickled candidates go (RFC 8838). An ICE-lite agent sends no checks, so
// it needs none of them: a viewer's address is learned from its own checks (RFC 8445 section 7.3.1.3).
func (s *Server) AddCandidates(id siaran.SessionID, _ []string) error {
	_, err := s.find(id)
	return err
}

// End ends a session at its viewer's wish and returns when nothing of it is left; ErrUnknownSession when there is none.
func (s *Server) End(id siaran.SessionID) error {
	sess, err := s.find(id)
	if err != nil {
		return err
	}
	sess.end(errEnded)
	return nil
}

// Kick sends a viewer of a stream away; ErrUnknownSession when it does not watch.
func (s *Server) Kick(stream siaran.StreamName, viewer siaran.ViewerID) error {
	s.mu.Lock()
	var found *session
	for _, sess := range s.sessions {
		if sess.viewerID == viewer && sess.broadcast.Stream() == stream {
			found = sess
		}
	}
	s.mu.Unlock()
	if found == nil {
		return siaran.ErrUnknownSession
	}
	found.end(errKicked)
	return nil
}

// Close ends all sessions and waits until nothing of them is left.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel(siaran.ErrClosed)
	s.running.Wait()
	s.stop()
	s.workersRun.Wait()
	return nil
}

// Stats is what the server has done since it began.
type Stats struct {
	Viewers          int
	Packets, Bytes   uint64
	Repaired         uint64 // packets sent again
	Unrepaired       uint64 // asked for and not there any more, or over the viewer's budget
	Overruns         uint64 // times that a viewer was too far behind and went on from a key frame
	SendFailures     uint64
	DroppedDatagrams uint64 // of broadcasters and viewers, on the way in
}

// Stats sums up the workers' counters.
func (s *Server) Stats() Stats {
	var st Stats
	for _, w := range s.workers {
		st.Viewers += int(w.load.Load())
		st.Packets += w.stats.packets.Load()
		st.Bytes += w.stats.bytes.Load()
		st.Repaired += w.stats.repaired.Load()
		st.Unrepaired += w.stats.unrepaired.Load()
		st.Overruns += w.stats.overruns.Load()
		st.SendFailures += w.stats.failed.Load()
		st.DroppedDatagrams += w.stats.rtcpDropped.Load() + w.stats.refused.Load()
	}
	d := &s.socket.drops
	st.SendFailures += d.send.Load()
	st.DroppedDatagrams += d.rest.Load() + d.dtls.Load() + d.rtcp.Load()
	return st
}

func certificateFingerprint(c *tls.Certificate) (string, error) {
	f, err := fingerprintOf(c.Certificate[0])
	if err != nil {
		return "", fmt.Errorf("egress: %w", err)
	}
	return f, nil
}
