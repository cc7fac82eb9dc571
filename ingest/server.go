package ingest

import (
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
)

// Config is what a Server needs. Conn, Addresses and Certificate must be given.
type Config struct {
	// Conn is the UDP socket for the media of broadcasters, or the share of one. It must end a read when its
	// read deadline passes. The caller closes it, after the server.
	Conn net.PacketConn

	// Addresses are announced as host candidates, the best first: some clients take only that one. It
	// is asked for every session.
	Addresses func() []netip.AddrPort

	// Relayed is where the clients of a relay inside this process are, as Conn knows them: IPv6 addresses that no network
	// has. The zero value: there is none. A Conn with a method Release(netip.AddrPort) is told when one has gone.
	Relayed netip.Prefix

	// TCP takes the connections of broadcasters whose network lets no UDP out (RFC 6544); nil for none. The
	// server closes it. TCPAddresses are announced for it, after the others; it is asked for every session.
	TCP          net.Listener
	TCPAddresses func() []netip.AddrPort

	Certificate  *tls.Certificate // ECDSA P-256, for all sessions
	SetupTimeout time.Duration    // to connect, and then to send media; 15 s when zero
	MaxSessions  int              // 100 when zero

	// VideoCodecs are the codecs that are taken, in the order of preference when a broadcaster offers several.
	// When empty: H264, VP8, VP9, AV1, H265.
	VideoCodecs []siaran.CodecName

	Logger *slog.Logger // slog's default when nil

	firstCheck time.Duration // for a TCP connection to show whose it is; 5 s when zero, shorter in tests

	consent time.Duration // without a sign of life until the session ends; 30 s when zero, shorter in tests
}

// Server takes broadcasters in. Its methods may be called from any goroutine.
type Server struct {
	hub         *siaran.Hub
	cfg         Config
	log         *slog.Logger
	mux         *mux
	streams     *streams // nil when TCP is not taken
	certificate webrtc.Certificate
	fingerprint string

	mu       sync.Mutex
	closed   bool
	opening  int // offers being answered
	idle     *sync.Cond
	sessions map[siaran.SessionID]*session
	running  sync.WaitGroup // of all sessions, also those that are not in the map any more
}

// New makes a server that publishes to hub.
func New(hub *siaran.Hub, cfg Config) (*Server, error) {
	cfg.SetupTimeout = cmp.Or(cfg.SetupTimeout, 15*time.Second)
	cfg.MaxSessions = cmp.Or(cfg.MaxSessions, 100)
	cfg.consent = cmp.Or(cfg.consent, 30*time.Second)
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
	s := &Server{hub: hub, cfg: cfg, log: cfg.Logger, sessions: make(map[siaran.SessionID]*session)}
	s.idle = sync.NewCond(&s.mu)
	if err := s.useCertificate(cfg.Certificate); err != nil {
		return nil, err
	}
	s.mux = newMux(cfg.Conn, cfg.Relayed, cfg.Logger)
	if cfg.TCP != nil {
		s.streams = newStreams(cfg.TCP, s.mux, cfg.firstCheck, cfg.Logger)
	}
	return s, nil
}

func (c *Config) validate() error {
	switch {
	case c.Conn == nil || c.Addresses == nil || c.Certificate == nil:
		return errors.New("ingest: Conn, Addresses and Certificate must be given")
	case c.TCP != nil && c.TCPAddresses == nil:
		return errors.New("ingest: TCPAddresses must be given with TCP")
	case c.SetupTimeout < 0 || c.MaxSessions < 0:
		return errors.New("ingest: SetupTimeout and MaxSessions must not be negative")
	}
	for _, n := range c.VideoCodecs {
		if n.Kind() != siaran.KindVideo {
			return fmt.Errorf("ingest: %q is not a video codec that can be broadcast", string(n))
		}
	}
	return nil
}

func (s *Server) useCertificate(c *tls.Certificate) error {
	if len(c.Certificate) == 0 {
		return errors.New("ingest: the certificate is empty")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return fmt.Errorf("ingest: certificate: %w", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("ingest: the certificate has expired on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("ingest: the certificate's key must be ECDSA P-256")
	}
	s.certificate = webrtc.CertificateFromX509(key, leaf)
	prints, err := s.certificate.GetFingerprints()
	if err != nil || len(prints) == 0 {
		return fmt.Errorf("ingest: certificate: %w", err)
	}
	s.fingerprint = prints[0].Algorithm + " " + strings.ToUpper(prints[0].Value)
	return nil
}

// Offer answers a broadcaster's SDP offer (RFC 9725 section 4.2) and begins its session, within two
// seconds. The stream is live once media comes. owner names the credential: the same one takes over what
// it has live already. It fails with ErrMalformedOffer, ErrUnacceptable, ErrStreamTaken, ErrTooManySessions
// or ErrClosed.
func (s *Server) Offer(ctx context.Context, stream siaran.StreamName, owner string, offer []byte) (siaran.Answer, error) {
	parsed, err := siaran.ParseOffer(offer)
	if err != nil {
		return siaran.Answer{}, err
	}
	chosen, err := choose(parsed, s.cfg.VideoCodecs)
	if err != nil {
		return siaran.Answer{}, err
	}
	if b, err := s.hub.Broadcast(stream); err == nil && b.Owner() != owner {
		return siaran.Answer{}, siaran.ErrStreamTaken
	}
	if err := s.reserve(stream, owner); err != nil {
		return siaran.Answer{}, err
	}
	sess, answer, err := s.open(ctx, stream, owner, parsed, chosen)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opening--
	s.idle.Broadcast()
	if err != nil {
		return siaran.Answer{}, err
	}
	s.sessions[sess.id] = sess
	s.running.Go(sess.run)
	return siaran.Answer{Session: sess.id, SDP: answer, Tag: sess.info.Tag}, nil
}

// open does all that can fail; on error nothing stays open.
func (s *Server) open(ctx context.Context, stream siaran.StreamName, owner string, offer *siaran.Offer, chosen []choice) (*session, []byte, error) {
	l := local{fingerprint: s.fingerprint, setup: answerRole(offer.Setup), addresses: announced(s.cfg.Addresses())}
	if len(l.addresses) == 0 {
		return nil, nil, errors.New("ingest: there is no address to announce")
	}
	if s.streams != nil {
		l.tcp = announced(s.cfg.TCPAddresses())
	}
	l.ufrag, l.password = randomText(16), randomText(32)
	answer, err := writeAnswer(offer, chosen, l)
	if err != nil {
		return nil, nil, fmt.Errorf("ingest: writing the answer: %w", err)
	}
	sess := newSession(s, stream, owner, offer, l)
	sess.candidates = len(offer.Candidates)
	sess.transport, err = openTransport(ctx, offer, s, l, sess.sinks(), sess.log)
	if err != nil {
		return nil, nil, err
	}
	specs := make([]siaran.TrackSpec, len(chosen))
	for i := range chosen {
		specs[i] = chosen[i].spec()
	}
	sess.publication, err = s.hub.Publish(stream, owner, specs)
	if err != nil {
		sess.transport.close()
		return nil, nil, err
	}
	sess.receiver.attach(offer, chosen, sess.publication)
	return sess, answer, nil
}

// reserve makes sure that there is room for one more session. What it would take over does not count.
func (s *Server) reserve(stream siaran.StreamName, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return siaran.ErrClosed
	}
	all, settingUp := s.opening, s.opening
	for _, o := range s.sessions {
		if o.info.Stream == stream && o.info.Owner == owner {
			continue
		}
		all++
		if !o.connected.Load() {
			settingUp++
		}
	}
	if all >= s.cfg.MaxSessions || settingUp >= s.maxSettingUp() {
		return siaran.ErrTooManySessions
	}
	s.opening++
	return nil
}

// maxSettingUp leaves room for those who do connect, when many do not.
func (s *Server) maxSettingUp() int { return min(s.cfg.MaxSessions, max(8, s.cfg.MaxSessions/4)) }

func (s *Server) find(id siaran.SessionID) (*session, error) {
	if sess := s.sessions[id]; sess != nil {
		return sess, nil
	}
	return nil, siaran.ErrUnknownSession
}

// Session tells about a running session; ErrUnknownSession when there is none of that id.
func (s *Server) Session(id siaran.SessionID) (siaran.SessionInfo, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sess, err := s.find(id)
	if err != nil {
		return siaran.SessionInfo{}, err
	}
	return sess.info, nil
}

// AddCandidates takes more of a broadcaster's candidates, as values of a=candidate. Those that cannot
// be used, and those beyond 64 a session, are dropped. It fails with ErrUnknownSession only.
func (s *Server) AddCandidates(id siaran.SessionID, candidates []string) error {
	s.mu.Lock()
	sess, err := s.find(id)
	if err != nil {
		s.mu.Unlock()
		return err
	}
	usable := usableCandidates(candidates, maxCandidates-sess.candidates)
	sess.candidates += len(usable)
	s.mu.Unlock()
	sess.transport.add(usable)
	return nil
}

// End ends a session and its broadcast at the broadcaster's own wish (RFC 9725 section 4.2). When
// it returns, nothing of the session is left. Ended once more, it is ErrUnknownSession.
func (s *Server) End(id siaran.SessionID) error {
	s.mu.Lock()
	sess, err := s.find(id)
	delete(s.sessions, id)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	sess.wish(stopped)
	<-sess.done
	return nil
}

// Health tells how the broadcast of a stream arrives; false when nobody publishes it here.
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

// forget is called by a session that ends.
func (s *Server) forget(sess *session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, sess.id)
}

// Close ends all sessions and waits until they have. Their broadcasts are left to the hub's grace time.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	for s.opening > 0 {
		s.idle.Wait()
	}
	var list []*session
	for _, sess := range s.sessions {
		list = append(list, sess)
	}
	s.mu.Unlock()
	for _, sess := range list {
		sess.wish(vanished)
	}
	s.running.Wait()
	if s.streams != nil {
		s.streams.end()
	}
	s.mux.close()
	return nil
}

// randomText is n letters and digits from the system's CSPRNG.
func randomText(n int) string {
	text := ""
	for len(text) < n {
		text += rand.Text()
	}
	return text[:n]
}
