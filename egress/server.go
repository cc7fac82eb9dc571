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

	"siaran"
	"siaran/internal/measure"
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
	Workers     int // 0 means one for each CPU
	// Handshakes that are worked on at the same time; 0 means four for each worker.
	MaxHandshakes int
	Burst         int          // most bytes sent to one viewer back to back; 0 means 64 KiB
	Logger        *slog.Logger // nil: nothing is logged
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
	if c.MaxHandshakes <= 0 {
		c.MaxHandshakes = 4 * c.Workers
	}
	if c.Burst <= 0 {
		c.Burst = defaultBurst
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Limits bound what viewers get. Zero values mean the defaults of Config.
type Limits struct {
	SetupTimeout time.Duration
	MaxSessions  int
	Share        netaddr.Share
	MaxChildren  int
}

// SetLimits sets the limits of sessions that begin from now on. Those that there are stay.
func (s *Server) SetLimits(l Limits) {
	cfg := Config{
		Certificate: s.cfg.Certificate, SetupTimeout: l.SetupTimeout, MaxSessions: l.MaxSessions, MaxChildren: l.MaxChildren,
	}
	_ = cfg.complete() // it has a certificate
	s.limits.Store(&Limits{cfg.SetupTimeout, cfg.MaxSessions, l.Share, cfg.MaxChildren})
}

// Server serves the viewers of this machine. Its methods may be called from any goroutine.
type Server struct {
	hub         *siaran.Hub
	socket      *mediaport.Socket
	cfg         Config
	certificate atomic.Pointer[ownCertificate]
	limits      atomic.Pointer[Limits]
	workers     []*worker
	drops       drops
	joins       *joinCounters
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
	audiences     map[*siaran.Broadcast]*audience
}

// New starts the workers. The media port is the caller's and is closed after the server.
func New(hub *siaran.Hub, socket *mediaport.Socket, cfg Config) (*Server, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &Server{
		hub: hub, socket: socket, cfg: cfg, joins: newJoinCounters(),
		handshakes:    make(chan struct{}, cfg.MaxHandshakes),
		done:          make(chan struct{}),
		sessions:      make(map[siaran.SessionID]*session),
		recentlyEnded: make(map[siaran.SessionID]endedSession),
		setupsBy:      make(netaddr.Tally),
		viewersBy:     make(netaddr.Tally),
		audiences:     make(map[*siaran.Broadcast]*audience),
	}
	s.UseCertificate(cfg.Certificate)
	s.SetLimits(Limits{cfg.SetupTimeout, cfg.MaxSessions, cfg.Share, cfg.MaxChildren})
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

// Offer takes a viewer's WHEP offer (draft-ietf-wish-whep section 4.3) for a stream that is live or interrupted. It
// fails with ErrNotLive, ErrMalformedOffer, ErrUnacceptable, ErrTooManySessions, ErrStreamFull, ErrBanned, ErrShare or
// ErrClosed. The session outlives ctx. from is the client's address, for its share of all sessions; an invalid one is
// not counted. The session tells the trace that ctx brings how it goes.
func (s *Server) Offer(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, text []byte,
) (siaran.Answer, error) {
	answer, err := s.open(ctx, stream, owner, from, text, false)
	if err != nil {
		s.joins.outcomes.Count(siaran.Refusal(err))
	}
	return answer, err
}

// OfferToChild is Offer for another server, a child, that passes the stream on to viewers of its own. It fails with
// ErrTooManySessions if there are as many children as there may be, whatever the number of viewers.
func (s *Server) OfferToChild(
	ctx context.Context, stream siaran.StreamName, owner string, text []byte,
) (siaran.Answer, error) {
	return s.open(ctx, stream, owner, netip.Addr{}, text, true)
}

func (s *Server) open(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, text []byte, child bool,
) (siaran.Answer, error) {
	began := time.Now()
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
		trace: measure.TraceOf(ctx), setup: offer.Setup, fingerprints: offer.Fingerprints, broadcast: broadcast,
		deadline: began.Add(s.limits.Load().SetupTimeout), done: make(chan struct{}),
	}
	sess.progress.at[stageOffered] = began
	l := newLink(s.socket, offer.Ufrag, offer.Password, sess, &s.drops)
	l.certificate = s.certificate.Load()
	answer, plans, err := s.answer(offer, broadcast, l, child)
	if err != nil {
		return siaran.Answer{}, err
	}
	sess.link, sess.plans = l, plans
	sess.reach(stageAnswered, time.Now())
	if err := s.begin(sess); err != nil {
		return siaran.Answer{}, err
	}
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: l.ufrag}, nil
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
