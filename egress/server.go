package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/internal/netaddr"
	"siaran/internal/sdp"
	"siaran/mediaport"
)

// Defaults of Config.
const (
	defaultSetupTimeout = 15 * time.Second
	defaultMaxSessions  = 5000
	defaultMaxSetups    = 10_000
	defaultMaxChildren  = 64
	defaultBurst        = 64 << 10
)

// Config is what a server needs in addition to the hub and the media port.
type Config struct {
	Certificate  *tls.Certificate // ECDSA; for all sessions until UseCertificate
	SetupTimeout time.Duration    // for ICE and DTLS; 0 means 15 s
	MaxSessions  int              // connected viewers; 0 means 5000
	Share        netaddr.Share    // of either limit, for the clients of one source
	// Sessions that are not connected yet; 0 means 10000: they cost little, and anyone can open them.
	MaxSetups int
	// Servers that pass a stream on, which count apart from viewers; 0 means 64.
	MaxChildren int
	Workers     int          // 0 means one for each CPU
	Burst       int          // most bytes sent to one viewer back to back; 0 means 64 KiB
	Logger      *slog.Logger // nil: nothing is logged
}

func (c *Config) complete() error {
	if c.Certificate == nil || len(c.Certificate.Certificate) == 0 {
		return errors.New("egress: Certificate must be given")
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
	if c.MaxChildren <= 0 {
		c.MaxChildren = defaultMaxChildren
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

// Server serves the viewers of this machine. Its methods may be called from any goroutine.
type Server struct {
	hub         *siaran.Hub
	socket      *mediaport.Socket
	cfg         Config
	certificate atomic.Pointer[ownCertificate]
	workers     []*worker
	drops       drops
	handshakes  chan struct{} // their slots; see dtlsConn

	stop       context.CancelFunc // ends expire and the workers, after all sessions
	workersRun sync.WaitGroup

	mu       sync.Mutex
	closing  bool // no new sessions
	closed   bool // no new goroutines
	running  sync.WaitGroup
	done     chan struct{} // closed with closing
	sessions map[siaran.SessionID]*session
	// Sessions whose viewer has closed its connection of late; they can still be ended.
	recentlyEnded map[siaran.SessionID]endedSession
	setups        int           // of viewers
	children      int           // sessions, connected or not
	setupsBy      netaddr.Tally // setups, by the source of their offers
	viewersBy     netaddr.Tally // connected viewers
	audiences     map[*siaran.Broadcast]map[*session]struct{}
}

// New starts the workers. The media port is the caller's and is closed after the server.
func New(hub *siaran.Hub, socket *mediaport.Socket, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		hub: hub, socket: socket, cfg: cfg,
		handshakes:    make(chan struct{}, 4*cfg.Workers),
		done:          make(chan struct{}),
		sessions:      make(map[siaran.SessionID]*session),
		recentlyEnded: make(map[siaran.SessionID]endedSession),
		setupsBy:      make(netaddr.Tally),
		viewersBy:     make(netaddr.Tally),
		audiences:     make(map[*siaran.Broadcast]map[*session]struct{}),
	}
	s.UseCertificate(cfg.Certificate)
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	for i := range cfg.Workers {
		w := newWorker(socket, i, cfg.Burst, &s.drops)
		s.workers = append(s.workers, w)
		s.workersRun.Go(func() { w.run(ctx) })
	}
	s.workersRun.Go(func() { s.expire(ctx) })
	return s, nil
}

// ownCertificate is what a session shows in its handshake, with the fingerprint that its answer names.
type ownCertificate struct {
	tls.Certificate
	fingerprint sdp.Fingerprint
}

// UseCertificate sets the certificate of sessions that are opened from now on. It must be ECDSA and not empty. Existing
// sessions keep theirs.
func (s *Server) UseCertificate(c *tls.Certificate) {
	s.certificate.Store(&ownCertificate{*c, sdp.FingerprintOf(c.Certificate[0])})
}

// endedSession is what is kept of a session whose viewer has closed its connection and may still send the DELETE, as
// most pages do.
type endedSession struct {
	info siaran.SessionInfo
	at   time.Time
}

const lingerTime = 5 * time.Second

// Offer takes a viewer's WHEP offer (draft-ietf-wish-whep section 4.3) for a stream that is live or interrupted. It
// fails with ErrNotLive, ErrMalformedOffer, ErrUnacceptable, ErrTooManySessions, ErrShare or ErrClosed. The session
// outlives ctx. from is the client's address, for its share of all sessions; an invalid one is not counted.
func (s *Server) Offer(
	_ context.Context, stream siaran.StreamName, owner string, from netip.Addr, text []byte,
) (siaran.Answer, error) {
	return s.open(stream, owner, from, text, false)
}

// OfferToChild is Offer for another server, a child, that passes the stream on to viewers of its own. It fails with
// ErrTooManySessions if there are as many children as there may be, whatever the number of viewers.
func (s *Server) OfferToChild(
	_ context.Context, stream siaran.StreamName, owner string, text []byte,
) (siaran.Answer, error) {
	return s.open(stream, owner, netip.Addr{}, text, true)
}

func (s *Server) open(
	stream siaran.StreamName, owner string, from netip.Addr, text []byte, child bool,
) (siaran.Answer, error) {
	broadcast, err := s.hub.Broadcast(stream)
	if err != nil {
		if s.hub.Closed() {
			err = siaran.ErrClosed // whoever asks should come back, here or elsewhere
		}
		return siaran.Answer{}, err
	}
	offer, err := sdp.ParseOffer(text)
	if err != nil {
		return siaran.Answer{}, err
	}
	sess := &session{
		server: s, id: siaran.NewSessionID(), viewerID: siaran.NewViewerID(), owner: owner, from: from, child: child,
		setup: offer.Setup, fingerprints: offer.Fingerprints, broadcast: broadcast,
		deadline: time.Now().Add(s.cfg.SetupTimeout), done: make(chan struct{}),
	}
	l := newLink(s.socket, offer.Ufrag, offer.Password, sess, &s.drops)
	l.certificate = s.certificate.Load()
	answer, plans, err := s.answer(offer, broadcast, l, child)
	if err != nil {
		return siaran.Answer{}, err
	}
	sess.link, sess.plans = l, plans
	if err := s.begin(sess); err != nil {
		return siaran.Answer{}, err
	}
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: l.ufrag}, nil
}

// begin admits a session. From then on its viewer's checks are answered.
func (s *Server) begin(sess *session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return siaran.ErrClosed
	}
	if err := s.admit(sess); err != nil {
		return err
	}
	audience := s.audiences[sess.broadcast]
	if audience == nil {
		audience = make(map[*session]struct{})
		s.audiences[sess.broadcast] = audience
		s.running.Go(func() { s.watchBroadcast(sess.broadcast) })
	}
	audience[sess] = struct{}{}
	sess.worker = s.leastLoaded()
	sess.worker.load.Add(1)
	s.sessions[sess.id] = sess
	if sess.child {
		s.children++
	} else {
		s.setups++
		s.setupsBy.Add(sess.from)
	}
	sess.link.endpoint.Open()
	return nil
}

// admit fails if there are too many sessions for another one. The caller holds s.mu.
func (s *Server) admit(sess *session) error {
	if sess.child {
		if s.children >= s.cfg.MaxChildren {
			return siaran.ErrTooManySessions
		}
		return nil
	}
	if s.full() || s.setups >= s.cfg.MaxSetups {
		return siaran.ErrTooManySessions
	}
	if s.setupsBy.Over(sess.from, s.cfg.Share, s.cfg.MaxSetups) ||
		s.viewersBy.Over(sess.from, s.cfg.Share, s.cfg.MaxSessions) {
		return siaran.ErrShare
	}
	return nil
}

// full reports whether no more viewers can connect. The caller holds s.mu.
func (s *Server) full() bool { return len(s.sessions)-s.setups-s.children >= s.cfg.MaxSessions }

// Sessions is how many viewers and children a stream has, those included that are about to connect.
func (s *Server) Sessions(stream siaran.StreamName) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for b, audience := range s.audiences {
		if b.Stream() == stream {
			n += len(audience)
		}
	}
	return n
}

// watchBroadcast waits for the end of a broadcast and ends the sessions of its viewers.
func (s *Server) watchBroadcast(b *siaran.Broadcast) {
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
	endAll(list, why)
}

// endAll ends sessions in parallel, so that a slow one delays no other, and returns when all have ended.
func endAll(list []*session, why error) {
	var ending errgroup.Group
	ending.SetLimit(maxEndings)
	for _, sess := range list {
		ending.Go(func() error { sess.end(why); return nil })
	}
	_ = ending.Wait()
}

// maxEndings is how many sessions are ended in parallel.
const maxEndings = 64

// expire ends sessions whose viewer has not connected in time. It waits for none of them.
func (s *Server) expire(ctx context.Context) {
	tick := time.NewTicker(expiryInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			for _, sess := range s.overdue(now) {
				s.spawn(func() { sess.end(errSetup) })
			}
		}
	}
}

// expiryInterval is the most by which the end of such a session may be late.
const expiryInterval = 500 * time.Millisecond

func (s *Server) overdue(now time.Time) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, f := range s.recentlyEnded {
		if now.Sub(f.at) > lingerTime {
			delete(s.recentlyEnded, id)
		}
	}
	if s.setups == 0 && s.children == 0 {
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

// spawn runs f in a goroutine that Close waits for. It returns false, and runs nothing, if it is too late for that.
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

// connected turns a setup into a connected viewer. It fails if there are too many.
func (s *Server) connected(sess *session, v *viewer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess.child {
		sess.viewer.Store(v)
		s.cfg.Logger.Info("child connected", "stream", sess.broadcast.Stream(), "child", sess.owner)
		return nil
	}
	if s.full() {
		return siaran.ErrTooManySessions
	}
	if s.viewersBy.Over(sess.from, s.cfg.Share, s.cfg.MaxSessions) {
		return siaran.ErrShare
	}
	s.setups--
	s.setupsBy.Remove(sess.from)
	s.viewersBy.Add(sess.from)
	sess.viewer.Store(v)
	s.cfg.Logger.Info("viewer connected", "stream", sess.broadcast.Stream(), "viewer", sess.viewerID)
	return nil
}

func (s *Server) forget(sess *session, why error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
	if errors.Is(why, errLeft) && len(s.recentlyEnded) < s.cfg.MaxSessions {
		s.recentlyEnded[sess.id] = endedSession{sess.info(), time.Now()}
	}
	delete(s.audiences[sess.broadcast], sess)
	switch {
	case sess.child:
		s.children--
	case sess.viewer.Load() == nil:
		s.setups--
		s.setupsBy.Remove(sess.from)
	default:
		s.viewersBy.Remove(sess.from)
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

// Session describes a session that is running or whose viewer has just hung up. Otherwise it fails with
// ErrUnknownSession.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sess := s.sessions[id]; sess != nil {
		return sess.info(), nil
	}
	if f, ok := s.recentlyEnded[id]; ok {
		return f.info, nil
	}
	return siaran.SessionInfo{}, siaran.ErrUnknownSession
}

// AddCandidates takes trickled candidates (RFC 8838) and ignores them. An ICE-lite agent sends no checks, so it needs
// none: a viewer's address is learned from its own checks (RFC 8445 section 7.3.1.3). It fails with ErrUnknownSession,
// and with ErrTagChanged if tag is not that of the newest ICE session.
func (s *Server) AddCandidates(id siaran.SessionID, tag string, _ []string) error {
	sess, err := s.find(id)
	if err == nil && sess.link.current().ufrag != tag {
		err = siaran.ErrTagChanged
	}
	return err
}

// Restart begins a new ICE session in a viewer's session (RFC 8445 section 9). Media goes on by the path of the one
// before until a path of the new one has proven itself. It fails with ErrUnknownSession, and with ErrTagChanged if tag
// is not that of the newest ICE session.
func (s *Server) Restart(id siaran.SessionID, tag string, fragment *sdp.Fragment) (siaran.Restarted, error) {
	sess, err := s.find(id)
	if err != nil {
		return siaran.Restarted{}, err
	}
	ice, err := sess.link.restart(tag, fragment.Ufrag, fragment.Password)
	if err != nil {
		return siaran.Restarted{}, err
	}
	answer := sess.link.restarts
	answer.Ufrag, answer.Password, answer.UDP = ice.ufrag, ice.pwd, s.socket.Addresses()
	return siaran.Restarted{Fragment: answer.Marshal(), Tag: ice.ufrag}, nil
}

// End ends a session at its viewer's request and returns when nothing of it is left. It fails with ErrUnknownSession.
func (s *Server) End(id siaran.SessionID) error {
	s.mu.Lock()
	sess := s.sessions[id]
	_, left := s.recentlyEnded[id]
	delete(s.recentlyEnded, id)
	s.mu.Unlock()
	switch {
	case sess != nil:
		sess.end(errEnded)
	case !left:
		return siaran.ErrUnknownSession
	}
	return nil
}

// Kick ends the session of a viewer of a stream. It fails with ErrUnknownSession if the viewer is not watching it.
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
	endAll(list, siaran.ErrClosed)
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.running.Wait()
	s.stop()
	s.workersRun.Wait()
	return nil
}

// Stats counts what the server has done since it started.
type Stats struct {
	Viewers        int
	Packets, Bytes uint64
	Repaired       uint64 // packets sent again
	Unrepaired     uint64 // packets asked for that were gone, or over the viewer's budget
	Overruns       uint64 // times that a viewer fell too far behind and continued from a key frame
	Panics         uint64 // each has ended one session, or cost one datagram
	Drops          Drops
}

// Drops counts datagrams and packets that did not reach their destination, by reason.
type Drops struct {
	Send      uint64 // the system did not take them
	Seal      uint64 // they could not be encrypted
	Handshake uint64 // the queue of a viewer's handshake was full
	Reports   uint64 // a viewer sent more RTCP than it may, or a worker's queue was full
	Forged    uint64 // RTCP that was not the viewer's
	Guarded   uint64 // an unknown source sent more than it may
}

// Sum is the total.
func (d Drops) Sum() uint64 {
	return d.Send + d.Seal + d.Handshake + d.Reports + d.Forged + d.Guarded
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
	}
	st.Drops.Send, st.Drops.Handshake = s.drops.sent.Load(), s.drops.handshake.Load()
	st.Drops.Guarded, st.Drops.Forged = s.socket.Limited(), s.drops.forged.Load()
	st.Drops.Reports += s.drops.reports.Load()
	st.Panics = s.socket.Faults().Count()
	return st
}
