package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/cluster"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/codec"
	"siaran/internal/demo"
	"siaran/internal/load"
	"siaran/internal/netaddr"
	"siaran/internal/publish"
	"siaran/internal/tlsmux"
	"siaran/internal/tracing"
	"siaran/internal/webhook"
	"siaran/internal/whip"
	"siaran/listing"
	"siaran/mediaport"
	"siaran/turn"
	"siaran/web"
	"siaran/web/access"
	"siaran/web/admission"
)

const (
	ListingFile = "siaran.db"
	DemoStream  = siaran.StreamName("demo")
	DemoTitle   = "Siaran demo"
	demoRetry   = 5 * time.Second
	linkLife    = 30 * 24 * time.Hour // of the token in the printed studio link
)

// server holds all parts of a server.
type server struct {
	cfg    Config // as at the start
	logger *slog.Logger

	again   Reload
	current Config // cfg with what has been adjusted since; owned by runReload once it runs

	tcp          net.Listener
	door         *tlsmux.Listener // accepts the connections to tcp while serving
	redirect     net.Listener     // for plain HTTP; nil if there is no redirect
	admin        net.Listener     // for operators; nil if it is off
	certs        certificates     // nil for plain HTTP
	turnOverTLS  func(net.Conn)   // the relay's handler for TLS connections to tcp; nil without a relay
	socket       *mediaport.Socket
	mediaTCP     net.Listener // for broadcasters; nil if it is off
	lock         *os.File
	secret       *access.Secret
	tokens       access.TokenVerifier // accepts the server's own tokens and those of accounts
	signIn       *web.SignIn          // of the studio; nil if it offers no sign-in
	listing      siaran.Listing
	reporter     *listing.Reporter
	listingReady func(context.Context) error // nil to ask the listing itself
	listingDoubt func(context.Context) error // nil for none
	listed       <-chan struct{}             // closed when the listing knows what was live before the start
	hub          *siaran.Hub
	expected     int // broadcasts that wait for their broadcasters since the start
	ingest       *ingest.Server
	egress       *egress.Server
	viewers      atomic.Pointer[egress.Server] // egress, for the reporter, which begins before it
	shown        siaran.Listing                // what web works with: the listing, with what the parent says
	directory    directory                     // of the parent
	neighbours   listing.Neighbours            // nil if no other server has the listing
	peers        *cluster.Peers                // nil if this server is not one of a cluster
	placer       *cluster.Placer               // the same
	cluster      *cluster.Cluster              // nil without a parent or peers
	draining     atomic.Bool                   // as other servers are told
	busy         *load.Monitor
	maxViewers   atomic.Int64 // of Config, as last set
	drain        *drain
	web          *web.Server
	relay        *turn.Server // nil if it is off
	relayed      relayed
	tracer       *tracing.Tracer // nil if nobody wants traces
	webhooks     *webhook.Sender // nil if nobody is told
	admission    *admission.Hook // nil if no site is asked

	closers []func() error // in the order of opening
}

// openServer opens all parts. After an error nothing stays open. It writes nothing until all ports but the relay's are
// open.
//
// The order is part of the contract:
//   - ports come first, so that a second server that is started by mistake fails before it touches the data;
//   - discovery needs the media port, and asks before any answer announces an address;
//   - the data folder is locked before anything in it is read, and closed after all that writes to it;
//   - certificates need the data folder (ACME keeps them there) and the redirect port (it answers HTTP-01 challenges);
//   - the relay needs the secret, the media port and the certificates;
//   - media sessions need the certificate in the data folder, the listing to report to, and the relayed addresses;
//   - authentication and web come last, because they use everything else.
//
// Parts close in the opposite order.
func openServer(ctx context.Context, cfg Config, logger *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, current: cfg, logger: logger, busy: load.NewMonitor(cfg.marks(), logger)}
	s.maxViewers.Store(int64(cfg.MaxViewers))
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, open := range []func(context.Context) error{
		s.openPorts, s.openMediaTCP, s.openDiscovery, s.openRedirect, s.openData,
		s.openTLS, s.openAdmin, s.openTracing, s.openRelay, s.openMedia, s.openAuth, s.openWeb,
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *server) openPorts(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if s.tcp, err = lc.Listen(ctx, "tcp", s.cfg.Listen); err != nil {
		return explainListen("listen", s.cfg.Listen, err)
	}
	s.closers = append(s.closers, closeListener(s.tcp))
	s.socket, err = mediaport.Open(s.cfg.UDP, mediaport.Options{
		Public: s.cfg.PublicIP, Interfaces: s.cfg.Announces, DSCP: s.cfg.DSCP, Logger: s.logger,
	})
	if err != nil {
		return fmt.Errorf("--udp %s: %w", s.cfg.UDP, err)
	}
	s.closers = append(s.closers, s.socket.Close)
	return nil
}

func (s *server) openData(ctx context.Context) (err error) {
	dir := s.cfg.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--data %s: the folder cannot be created: choose another with --data: %w", dir, err)
	}
	if s.lock, err = lockData(dir); err != nil {
		return err
	}
	s.closers = append(s.closers, s.lock.Close)
	if s.secret, err = s.cfg.OpenSecret(); err != nil {
		return err
	}
	return s.openListing(ctx)
}

func (s *server) openMedia(ctx context.Context) error {
	certificate, err := openCertificate(s.cfg.Data, time.Now())
	if err != nil {
		return err
	}
	s.hub = siaran.NewHub(s.cfg.Grace, codec.NewFramer)
	s.hub.KeepViewers(s.cfg.KeepViewers)
	s.hub.LimitMemory(int64(s.cfg.RingMemory))
	s.expectBroadcasters()
	if err := s.openDirectory(); err != nil {
		return err
	}
	s.openReporter()
	s.openPeers()
	if err := s.openWebhooks(ctx); err != nil {
		return err
	}
	var moved ingest.Moves
	if s.peers != nil {
		moved = moves{s}
	}
	s.ingest, err = ingest.New(s.hub, ingest.Config{
		Moves:         moved,
		Port:          s.socket,
		Addresses:     s.socket.Addresses,
		TCP:           s.mediaTCP,
		TCPAddresses:  s.tcpAddresses,
		Certificate:   certificate,
		SetupTimeout:  s.cfg.SetupTimeout,
		MaxSessions:   s.cfg.MaxBroadcasts,
		MaxBitrate:    int(s.cfg.MaxBitrate),
		MaxPacketRate: s.cfg.MaxPacketRate,
		MaxLayers:     s.cfg.MaxLayers,
		Share:         netaddr.Share(s.cfg.SourceShare),
		Logger:        s.logger,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.ingest.Close)
	s.egress, err = egress.New(s.hub, s.socket, egress.Config{
		Certificate:   certificate,
		SetupTimeout:  s.cfg.SetupTimeout,
		MaxSessions:   s.cfg.MaxViewers,
		Share:         netaddr.Share(s.cfg.SourceShare),
		MaxHandshakes: s.cfg.MaxHandshakes,
		MaxChildren:   s.cfg.MaxChildren,
		Burst:         s.cfg.Burst,
		Logger:        s.logger,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.egress.Close)
	s.viewers.Store(s.egress)
	s.measureLoad()
	s.openCluster()
	s.keepCertificate(certificate)
	s.closers = append(s.closers, func() error { s.hub.Close(); return nil }) // closed first: sessions say goodbye
	return nil
}

// keepCertificate renews the media certificate while the server runs.
func (s *server) keepCertificate(certificate *tls.Certificate) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		renewCertificate(ctx, s.cfg.Data, certificate, func(fresh *tls.Certificate) error {
			if err := s.ingest.UseCertificate(fresh); err != nil {
				return err
			}
			s.egress.UseCertificate(fresh)
			return nil
		}, s.logger)
	}()
	s.closers = append(s.closers, func() error { stop(); <-done; return nil })
}

// openReporter starts the reporter. It stops after everything that it reports on, and before the listing.
func (s *server) openReporter() {
	s.reporter = listing.NewReporter(s.hub, s.shown, s.node(), s.logger, listing.WithLoad(s.load))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	s.listed = s.reporter.Written()
	go func() { done <- s.reporter.Run(ctx) }()
	s.closers = append(s.closers, func() error {
		s.hub.Close()
		stop()
		return <-done
	})
}

func (s *server) openWeb(context.Context) (err error) {
	var pulls web.Cluster
	if s.cluster != nil {
		pulls = s.cluster
	}
	site, err := s.openAdmission()
	if err != nil {
		return err
	}
	var place func(web.Visit) web.Choice
	var mayMove func(siaran.StreamName, string) error
	if s.placer != nil {
		place, mayMove = s.place, s.mayMove
	}
	var tracer web.Tracer
	if s.tracer != nil {
		tracer = s.tracer
	}
	s.drain = s.newDrain()
	s.closers = append(s.closers, s.drain.close)
	s.drain.notify = func(id siaran.SessionID) { s.web.Moving(id) }
	s.web, err = web.New(web.Config{
		Parent:         s.cfg.Parent,
		Cluster:        pulls,
		Place:          place,
		MayMove:        mayMove,
		Load:           s.busy.State,
		Drainer:        s.drain,
		Hub:            s.hub,
		Listing:        s.shown,
		Ready:          s.listingReady,
		Doubt:          s.listingDoubt,
		Ingest:         s.ingest,
		Egress:         s.egress,
		ICEServers:     s.iceServers,
		Secret:         s.secret,
		Tokens:         s.tokens,
		SignIn:         s.signIn,
		Tracer:         tracer,
		Admission:      site,
		AdmissionOpen:  s.cfg.AuthWebhookFail == "open",
		Health:         func(name siaran.StreamName) (any, bool) { return s.ingest.Health(name) },
		Node:           s.cfg.Node,
		BaseURL:        s.cfg.BaseURL,
		FrontURL:       s.cfg.FrontURL,
		AllowedOrigins: s.cfg.AllowOrigin,
		TrustedProxies: s.cfg.TrustedProxy,
		HSTS:           s.cfg.HSTS,
		Limits: web.Limits{
			Broadcasts: s.cfg.PerOwner, Viewers: s.cfg.StreamViewers, Joins: s.cfg.MaxJoins,
			Watchers: s.cfg.MaxEvents, Share: netaddr.Share(s.cfg.SourceShare),
		},
		Logger: s.logger,

		StrictSessionAuth: s.cfg.StrictSessionAuth,
		LaxTrickle:        s.cfg.LaxTrickle,
	})
	return err
}

// close closes all open parts in the reverse order of opening.
func (s *server) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// serve runs an opened server until ctx ends or HTTP fails, then closes it.
//
// The server shuts down in this order: the demo ends its session over HTTP; clients are told to come back; the hub ends
// all broadcasts; HTTP stops; all sessions close; the reporter writes that nothing is live here; the rest closes.
func (s *server) serve(ctx context.Context, ready func(Banner)) error {
	f, err := s.newBanner()
	if err != nil {
		return errors.Join(err, s.close())
	}
	signalled := ctx
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	s.drain.over = cancel
	defer context.AfterFunc(signalled, s.drainAtEnd)()
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAnswering()

	var answers, demo errgroup.Group
	s.awaitList(ctx)
	s.door = s.frontDoor()
	answers.Go(func() error {
		defer cancel() // a server without HTTP is of no use
		return s.web.Serve(answering, s.door)
	})
	answers.Go(func() error { s.runReload(answering); return nil })
	if s.certs != nil {
		answers.Go(func() error { return s.certs.Run(answering) })
	}
	if s.admin != nil {
		answers.Go(func() error { return s.serveAdmin(answering) })
	}
	if s.redirect != nil {
		answers.Go(func() error {
			defer cancel()
			return s.serveRedirect(answering)
		})
	}
	if s.cfg.Demo {
		demo.Go(func() error { return s.publishDemo(ctx) })
	}
	ready(f)
	debug.FreeOSMemory() // starting takes several times as much memory as running
	<-ctx.Done()

	s.draining.Store(true)
	err = demo.Wait()
	s.web.Leave()
	s.hub.Close()
	stopAnswering()
	return errors.Join(err, answers.Wait(), s.close())
}

// listDemo returns the demo's stream. It adds the stream with a title if it does not exist yet.
func (s *server) listDemo(ctx context.Context) (siaran.Stream, error) {
	stream, err := s.listing.Stream(ctx, DemoStream)
	if errors.Is(err, siaran.ErrUnknownStream) {
		title := DemoTitle
		stream, err = s.listing.Edit(ctx, DemoStream, siaran.StreamEdit{Title: &title})
	}
	return stream, err
}

// publishDemo broadcasts the built-in clip through the public endpoint, as any client would. Its requests do not leave
// the process, because no certificate covers an address of the machine itself.
func (s *server) publishDemo(ctx context.Context) error {
	media, err := demo.Clip()
	if err != nil {
		return err
	}
	stream, err := s.listDemo(ctx)
	for err != nil { // the listing may become available later
		s.logger.Warn("the demo is waiting for the listing", "error", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoRetry):
		}
		stream, err = s.listDemo(ctx)
	}
	token, err := s.secret.Mint(access.Claims{
		Stream:        string(DemoStream),
		Scopes:        []access.Scope{access.Publish},
		KeyGeneration: stream.KeyGeneration,
	})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	inside := newInsideTransport(s.door)
	defer inside.CloseIdleConnections()
	cfg := whip.Config{
		URL:    s.localURL() + "/whip/" + string(DemoStream),
		Token:  token,
		Client: &http.Client{Transport: inside},
	}
	if err := publish.Clip(ctx, cfg, media, publish.Options{Loop: true}, s.logger.With("part", "demo")); err != nil {
		s.logger.Warn("the demo has stopped", "error", err) // the server continues without it
	}
	return nil
}

// localURL returns the URL at which this process reaches its own HTTP port.
func (s *server) localURL() string {
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	ip := bound.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return withPort(s.scheme(), ip.String(), int(bound.Port()))
}

// publicURL returns the URL at which people reach the server, as far as that is known.
func (s *server) publicURL() string {
	if s.cfg.BaseURL != "" {
		return s.cfg.BaseURL
	}
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	if name := s.ownName(); name != "" {
		return withPort(s.scheme(), name, int(bound.Port()))
	}
	if bound.Addr().Unmap().IsUnspecified() {
		return withPort(s.scheme(), "localhost", int(bound.Port()))
	}
	return s.localURL()
}

// nodeURL returns publicURL for other servers. It is empty if no name is known that means this server on other machines
// too.
func (s *server) nodeURL() string {
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	if s.cfg.BaseURL == "" && s.ownName() == "" && bound.IsUnspecified() {
		return ""
	}
	return s.publicURL()
}

// plain reports whether other machines can connect over plain HTTP, where tokens can be read in transit (RFC 9725
// section 5).
func (s *server) plain() bool {
	return s.certs == nil &&
		!strings.HasPrefix(s.cfg.BaseURL, "https://") &&
		!s.tcp.Addr().(*net.TCPAddr).IP.IsLoopback()
}
