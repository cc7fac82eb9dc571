package ingest

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/netaddr"
	"siaran/internal/sdp"
	"siaran/mediaport"
)

// Config is what a Server needs. Port, Addresses and Certificate must be given.
type Config struct {
	// Port carries the media of broadcasters. The caller closes it after the server.
	Port *mediaport.Socket

	// Addresses returns the host candidates to be announced, best first, because some clients use only that one. It is
	// called for every session.
	Addresses func() []netip.AddrPort

	// TCP accepts the connections of broadcasters whose network blocks UDP (RFC 6544); nil for none. The server closes
	// it. TCPAddresses returns its addresses, announced after the others; it is called for every session.
	TCP          net.Listener
	TCPAddresses func() []netip.AddrPort

	Certificate   *tls.Certificate // ECDSA P-256; used until UseCertificate
	SetupTimeout  time.Duration    // this and the next five: see Limits
	MaxSessions   int
	Share         netaddr.Share
	MaxBitrate    int
	MaxPacketRate int
	MaxLayers     int

	// Moves is about broadcasters who come here from another server; nil: a stream that comes from another server cannot
	// be published here.
	Moves Moves

	// VideoCodecs are the accepted codecs in order of preference. When empty: H264, VP8, VP9, AV1, H265.
	VideoCodecs []siaran.CodecName

	Logger *slog.Logger // slog's default when nil

	firstCheck time.Duration // for a TCP connection to identify its session; 5 s when zero, shorter in tests

	consent time.Duration // without a sign of life before the session ends; 30 s when zero, shorter in tests
	absence time.Duration // the same for the parent of a pull; parentSilence when zero, longer in most tests
}

// Moves knows broadcasts that are live on other servers.
type Moves interface {
	// Origin returns how a stream's broadcast goes on here if its owner comes with it from another server, and whether
	// the owner may have another broadcaster there who is sending. It is the zero Origin for a broadcast that begins
	// here. It fails with ErrStreamTaken if somebody else has the stream there, and with ErrContested.
	Origin(stream siaran.StreamName, owner string) (origin siaran.Origin, contested bool, err error)
	// LetGo ends the pull of a stream, if there is one, but not its broadcast.
	LetGo(stream siaran.StreamName)
}

// Limits bound what broadcasters get.
type Limits struct {
	SetupTimeout time.Duration // to connect, and then to send media; 15 s when zero
	MaxSessions  int           // 100 when zero
	Share        netaddr.Share // of the sessions, for one source; with fewer than 32 sessions, of 32
	MaxBitrate   int           // bits per second of one broadcast, headers included; unbounded when zero
	MaxLayers    int           // simulcast layers of one broadcast; 3 when zero
	// Packets per second of one broadcast, of all layers and kinds; unbounded when zero.
	MaxPacketRate int
}

func (l Limits) filled() *Limits {
	l.SetupTimeout = cmp.Or(l.SetupTimeout, 15*time.Second)
	l.MaxSessions = cmp.Or(l.MaxSessions, 100)
	l.MaxLayers = cmp.Or(l.MaxLayers, 3)
	return &l
}

// SetLimits sets the limits of sessions that begin from now on. Those that there are stay.
func (s *Server) SetLimits(l Limits) { s.limits.Store(l.filled()) }

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
	if len(cfg.VideoCodecs) == 0 {
		cfg.VideoCodecs = defaultVideoCodecs
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

func (c *Config) validate() error {
	switch {
	case c.Port == nil || c.Addresses == nil || c.Certificate == nil:
		return errors.New("ingest: Port, Addresses and Certificate must be given")
	case c.TCP != nil && c.TCPAddresses == nil:
		return errors.New("ingest: TCPAddresses must be given with TCP")
	case c.SetupTimeout < 0 || c.MaxSessions < 0 || c.MaxBitrate < 0 || c.MaxPacketRate < 0 || c.MaxLayers < 0:
		return errors.New("ingest: SetupTimeout, MaxSessions, MaxBitrate, MaxPacketRate and MaxLayers must not be negative")
	}
	for _, n := range c.VideoCodecs {
		if n.Kind() != siaran.KindVideo {
			return fmt.Errorf("ingest: %q is not a video codec that can be broadcast", string(n))
		}
	}
	return nil
}

// ownCertificate is the certificate that sessions present in their handshake, and its fingerprint for their answers.
type ownCertificate struct {
	webrtc.Certificate
	fingerprint sdp.Fingerprint
}

// UseCertificate sets the certificate of new sessions; existing ones keep theirs. It fails, and changes nothing, when
// the certificate has expired or its key is not ECDSA P-256.
func (s *Server) UseCertificate(c *tls.Certificate) error {
	if len(c.Certificate) == 0 {
		return errors.New("ingest: the certificate is empty")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return fmt.Errorf("ingest: certificate: %w", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("ingest: the certificate expired on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("ingest: the certificate's key must be ECDSA P-256")
	}
	certificate := webrtc.CertificateFromX509(key, leaf)
	s.certificate.Store(&ownCertificate{certificate, sdp.FingerprintOf(leaf.Raw)})
	return nil
}

// Offer answers a broadcaster's SDP offer (RFC 9725 section 4.2) and begins its session, within two seconds. The
// stream is live once media comes. owner is the owner of the credential: the same owner takes over its own broadcast.
// from is the address of the client. It decides which candidates the client may name, and counts towards the share of
// its source unless it is invalid. Offer fails with ErrMalformedOffer, ErrUnacceptable, ErrStreamTaken, ErrContested,
// ErrTooManySessions, ErrShare or ErrClosed. The session tells the trace that ctx brings how it goes.
func (s *Server) Offer(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, offer []byte,
) (siaran.Answer, error) {
	answer, err := s.answer(ctx, stream, owner, from, offer)
	if err != nil {
		s.joins.outcomes.Count(siaran.Refusal(err))
	}
	return answer, err
}

func (s *Server) answer(
	ctx context.Context, stream siaran.StreamName, owner string, from netip.Addr, offer []byte,
) (siaran.Answer, error) {
	began := time.Now()
	parsed, err := sdp.ParseOffer(offer)
	if err != nil {
		return siaran.Answer{}, err
	}
	chosen, err := choose(parsed, s.cfg.VideoCodecs)
	if err != nil {
		return siaran.Answer{}, err
	}
	if err := checkLayers(chosen, s.limits.Load().MaxLayers); err != nil {
		return siaran.Answer{}, err
	}
	origin, elsewhere, err := s.origin(stream, owner)
	if err != nil {
		return siaran.Answer{}, err
	}
	contested, err := s.reserve(stream, owner, from, time.Now())
	if err != nil {
		return siaran.Answer{}, err
	}
	sess, answer, err := s.open(ctx, stream, owner, origin, reachOf(from), parsed, chosen)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
	s.openers.Remove(from)
	s.idle.Broadcast()
	if err != nil {
		return siaran.Answer{}, err
	}
	sess.from, sess.trace = from, measure.TraceOf(ctx)
	sess.trace.Part("offer", began, time.Now())
	if contested || elsewhere {
		sess.contest.begin(time.Now())
	}
	s.begin(sess)
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: sess.info.Tag}, nil
}

// origin is that of the broadcast that a broadcaster's session is going to feed. contested reports whether it is taken
// from another server where it may be fed.
func (s *Server) origin(stream siaran.StreamName, owner string) (o siaran.Origin, contested bool, err error) {
	taken, relayed := s.hub.Taken(stream, owner)
	switch {
	case taken && (!relayed || s.cfg.Moves == nil):
		return o, false, siaran.ErrStreamTaken
	case s.cfg.Moves == nil || s.hub.Holds(stream, owner):
		return o, false, nil
	}
	return s.cfg.Moves.Origin(stream, owner)
}

// begin lets a session run. The caller holds mu.
func (s *Server) begin(sess *session) {
	s.sessions[sess.id] = sess
	s.joins.running[sess] = struct{}{}
	sess.answered = time.Now()
	s.running.Go(sess.run)
}

// open does everything that can fail. On error nothing stays open.
func (s *Server) open(
	ctx context.Context, stream siaran.StreamName, owner string, origin siaran.Origin, from reach, offer *sdp.Offer,
	chosen []choice,
) (*session, []byte, error) {
	own := s.certificate.Load()
	l := local{
		certificate: own.Certificate, fingerprint: own.fingerprint, setup: answerRole(offer.Setup),
		addresses: announced(s.cfg.Addresses()), reach: from,
	}
	if len(l.addresses) == 0 {
		return nil, nil, errors.New("ingest: there is no address to announce")
	}
	if s.listener != nil {
		l.tcp = announced(s.cfg.TCPAddresses())
	}
	l.ufrag, l.password = sdp.RandomText(16), sdp.RandomText(32)
	answer, err := writeAnswer(offer, chosen, l)
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: writing the answer: %w", err)
	}
	sess := newSession(s, stream, owner, offer, l)
	sess.candidates, sess.near = min(len(offer.Candidates), maxCandidates), from
	sess.transport, err = openTransport(ctx, offer, s, l, sess.sinks(), sess.log)
	if err != nil {
		return nil, nil, err
	}
	specs := make([]siaran.TrackSpec, len(chosen))
	for i := range chosen {
		specs[i] = chosen[i].spec()
	}
	if s.cfg.Moves != nil {
		s.cfg.Moves.LetGo(stream)
	}
	sess.publication, err = s.hub.PublishFrom(stream, owner, specs, origin)
	if err != nil {
		sess.transport.close()
		return nil, nil, err
	}
	sess.receiver.attach(offer, chosen, sess.publication)
	sess.restarts = restartAnswer(offer, chosen)
	return sess, answer, nil
}

// reserve reserves room for one more session. A session that it would take over does not count; contested reports
// whether that one is sending.
func (s *Server) reserve(
	stream siaran.StreamName, owner string, from netip.Addr, now time.Time,
) (contested bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, siaran.ErrClosed
	}
	all, settingUp := s.opening, s.opening
	allBy, settingUpBy := maps.Clone(s.openers), maps.Clone(s.openers)
	for _, o := range s.sessions {
		if o.info.Stream == stream && o.info.Owner == owner {
			if o.sends(now) {
				if o.contest.refuses(now) {
					return false, siaran.ErrContested
				}
				contested = true
			}
			continue
		}
		all++
		allBy.Add(o.from)
		if !o.connected.Load() {
			settingUp++
			settingUpBy.Add(o.from)
		}
	}
	limits := s.limits.Load()
	if all >= limits.MaxSessions || settingUp >= limits.settingUp() {
		return false, siaran.ErrTooManySessions
	}
	if allBy.Over(from, limits.Share, max(minShared, limits.MaxSessions)) ||
		settingUpBy.Over(from, limits.Share, max(minShared, limits.settingUp())) {
		return false, siaran.ErrShare
	}
	s.opening++
	s.openers.Add(from)
	return contested, nil
}

// minShared is the least number of sessions that a share is computed from: the encoders of a studio have one address.
const minShared = 32

// settingUp bounds the sessions that have not connected yet, so that they leave room for those that do.
func (l *Limits) settingUp() int { return min(l.MaxSessions, max(8, l.MaxSessions/4)) }

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
