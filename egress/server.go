package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"siaran"
)

// What a configuration that leaves it open gets.
const (
	defaultSetupTimeout = 15 * time.Second
	defaultMaxSessions  = 5000
	defaultMaxSetups    = 10_000
	defaultBurst        = 64 << 10
)

// Config is what a server needs besides hub and socket.
type Config struct {
	Certificate  *tls.Certificate // ECDSA; shared by all sessions (P23)
	SetupTimeout time.Duration    // until ICE and DTLS are done; 0 means 15 s (W26)
	MaxSessions  int              // connected viewers; 0 means 5000
	MaxSetups    int              // sessions that are not connected yet; 0 means 10000: they cost little, and anyone can open them
	Workers      int              // 0 means one a CPU
	Burst        int              // bytes that one viewer is sent back to back at most; 0 means 64 KiB
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
	if c.Burst <= 0 {
		c.Burst = defaultBurst
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
	handshakes  chan struct{} // their places; see dtlsPipe

	stop       context.CancelFunc // the janitor and the workers, after all sessions
	workersRun sync.WaitGroup

	mu        sync.Mutex
	closing   bool // no new sessions
	closed    bool // no new goroutines
	running   sync.WaitGroup
	done      chan struct{} // closed with closing
	sessions  map[siaran.SessionID]*session
	left      map[siaran.SessionID]farewell // those whose viewer hung up of late; they can still be ended
	setups    int
	audiences map[*siaran.Broadcast]map[*session]struct{}
}

// New starts the workers. The socket is the caller's, and is closed after the server.
func New(hub *siaran.Hub, socket *Socket, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		hub: hub, socket: socket, cfg: cfg, fingerprint: fingerprintOf(cfg.Certificate.Certificate[0]),
		handshakes: make(chan struct{}, 4*cfg.Workers),
		done:       make(chan struct{}),
		sessions:   make(map[siaran.SessionID]*session),
		left:       make(map[siaran.SessionID]farewell),
		audiences:  make(map[*siaran.Broadcast]map[*session]struct{}),
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for i := range cfg.Workers {
		w := newWorker(socket, socket.ports[i%len(socket.ports)], cfg.Burst)
		s.workers = append(s.workers, w)
		s.workersRun.Go(func() { w.run(ctx) })
	}
	s.workersRun.Go(func() { s.expire(ctx) })
	return s, nil
}

// farewell is what is left of a session whose viewer has closed its connection and may send the DELETE afterwards, as most
// pages do.
type farewell struct {
	info siaran.SessionInfo
	at   time.Time
}

const lingerTime = 5 * time.Second

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
	l := newLink(s.socket, offer.Ufrag)
	answer, plans, err := s.answer(offer, broadcast, l)
	if err != nil {
		return siaran.Answer{}, err
	}
	sess := &session{
		server: s, id: siaran.NewSessionID(), viewerID: siaran.NewViewerID(), owner: owner,
		pwd: offer.Password, setup: offer.Setup, fingerprints: offer.Fingerprints, broadcast: broadcast, link: l, plans: plans,
		deadline: time.Now().Add(s.cfg.SetupTimeout), done: make(chan struct{}),
	}
	l.places = s.handshakes
	l.found = sess.found
	l.hungUp = func() { sess.end(errLeft) }
	l.spawn = func(f func()) { s.spawn(f) }
	l.rtcp = func(b []byte) {
		if v := sess.viewer.Load(); v != nil {
			sess.worker.push(v, b)
		}
	}
	if err := s.begin(sess); err != nil {
		return siaran.Answer{}, err
	}
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: l.ufrag}, nil
}

// begin counts a session in. From then on its viewer's checks are answered.
func (s *Server) begin(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return siaran.ErrClosed
	}
	if s.full() || s.setups >= s.cfg.MaxSetups {
		return siaran.ErrTooManySessions
	}
	audience := s.audiences[sess.broadcast]
	if audience == nil {
		audience = make(map[*session]struct{})
		s.audiences[sess.broadcast] = audience
		s.running.Go(func() { s.attend(sess.broadcast) })
	}
	audience[sess] = struct{}{}
	sess.worker = s.leastLoaded()
	sess.worker.load.Add(1)
	s.sessions[sess.id] = sess
	s.setups++
	s.socket.register(sess.link)
	return nil
}

// full tells whether no more viewers can be connected. The caller holds s.mu.
func (s *Server) full() bool { return len(s.sessions)-s.setups >= s.cfg.MaxSessions }

// attend waits for the end of a broadcast and sends its viewers away.
func (s *Server) attend(b *siaran.Broadcast) {
	why := siaran.ErrEnded
	select {
	case <-b.Done():
	case <-s.done:
		why = siaran.ErrClosed
	}
	s.mu.Lock()
	audience := s.audiences[b]
	delete(s.audiences, b)
	list := slices.Collect(maps.Keys(audience))
	s.mu.Unlock()
	for _, sess := range list {
		sess.end(why)
	}
}

// expire ends sessions that nobody has connected to in time.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, sess := range s.overdue(now) {
				sess.end(errSetup)
			}
		}
	}
}

func (s *Server) overdue(now time.Time) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.left {
		if now.Sub(f.at) > lingerTime {
			delete(s.left, id)
		}
	}
	if s.setups == 0 {
		return nil
	}
	var list []*session
	for _, sess := range s.sessions {
		if sess.viewer.Load() == nil && now.After(sess.deadline) {
			list = append(list, sess)
		}
	}
	return list
}

// spawn runs f in a goroutine that Close waits for. False: it is too late for that.
func (s *Server) spawn(f func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.running.Go(f)
	return true
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

// connected counts a session in that has a viewer now. It fails when there are too many.
func (s *Server) connected(sess *session, v *viewer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.full() {
		return siaran.ErrTooManySessions
	}
	s.setups--
	sess.viewer.Store(v)
	s.cfg.Logger.Info("viewer connected", "stream", sess.broadcast.Stream(), "viewer", sess.viewerID)
	return nil
}

func (s *Server) forget(sess *session, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	if errors.Is(why, errLeft) && len(s.left) < s.cfg.MaxSessions {
		s.left[sess.id] = farewell{sess.info(), time.Now()}
	}
	delete(s.audiences[sess.broadcast], sess)
	if sess.viewer.Load() == nil {
		s.setups--
	}
	sess.worker.load.Add(-1)
}

func (s *Server) find(id siaran.SessionID) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess, nil
	}
	return nil, siaran.ErrUnknownSession
}

// Session describes a session that runs or whose viewer has just hung up, or fails with ErrUnknownSession.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess.info(), nil
	}
	if f, ok := s.left[id]; ok {
		return f.info, nil
	}
	return siaran.SessionInfo{}, siaran.ErrUnknownSession
}

// AddCandidates is where trickled candidates go (RFC 8838). An ICE-lite agent sends no checks, so
// it needs none of them: a viewer's address is learned from its own checks (RFC 8445 section 7.3.1.3).
func (s *Server) AddCandidates(id siaran.SessionID, _ []string) error {
	_, err := s.find(id)
	return err
}

// End ends a session at its viewer's wish and returns when nothing of it is left; ErrUnknownSession when there is none.
func (s *Server) End(id siaran.SessionID) error {
	s.mu.Lock()
	sess := s.sessions[id]
	_, left := s.left[id]
	delete(s.left, id)
	s.mu.Unlock()
	switch {
	case sess != nil:
		sess.end(errEnded)
	case !left:
		return siaran.ErrUnknownSession
	}
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
	if s.closing {
		s.mu.Unlock()
		return nil
	}
	s.closing = true
	close(s.done)
	list := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	for _, sess := range list {
		sess.end(siaran.ErrClosed)
	}
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	s.stop()
	s.workersRun.Wait()
	return nil
}

// Stats is what the server has done since it began.
type Stats struct {
	Viewers        int
	Packets, Bytes uint64
	Repaired       uint64 // packets sent again
	Unrepaired     uint64 // asked for and not there any more, or over the viewer's budget
	Overruns       uint64 // times that a viewer was too far behind and went on from a key frame
	Drops          Drops
}

// Drops counts datagrams and packets that did not get where they should, by reason.
type Drops struct {
	Send        uint64 // the system did not take them
	Seal        uint64 // they could not be encrypted
	Broadcaster uint64 // the queue of broadcasters' datagrams was full
	Handshake   uint64 // the queue of a viewer's handshake was full
	Reports     uint64 // the queue of a worker's RTCP was full
	Forged      uint64 // RTCP that was not the viewer's
	Guarded     uint64 // an unknown source sent more than it may
}

// Sum is all of them.
func (d Drops) Sum() uint64 {
	return d.Send + d.Seal + d.Broadcaster + d.Handshake + d.Reports + d.Forged + d.Guarded
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
		st.Drops.Seal += w.stats.failed.Load()
		st.Drops.Reports += w.stats.rtcpDropped.Load()
		st.Drops.Forged += w.stats.refused.Load()
	}
	d := &s.socket.drops
	st.Drops.Send, st.Drops.Broadcaster = d.send.Load(), d.rest.Load()
	st.Drops.Handshake, st.Drops.Guarded = d.dtls.Load(), d.guarded.Load()
	return st
}
