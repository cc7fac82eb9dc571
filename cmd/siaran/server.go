package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime/debug"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/front"
	"siaran/cmd/siaran/internal/whip"
	"siaran/egress"
	"siaran/ingest"
	"siaran/listing"
	"siaran/turn"
	"siaran/web"
	"siaran/web/access"
)

const (
	listingFile = "siaran.db"
	demoStream  = siaran.StreamName("demo")
	demoTitle   = "Siaran demo"
	demoRetry   = 5 * time.Second
	linkLife    = 30 * 24 * time.Hour // of the token in the printed studio link
)

// server is everything that serve opens.
type server struct {
	cfg    Config
	logger *slog.Logger

	tcp          net.Listener
	door         *front.Listener // takes in what comes to tcp, while serving
	redirect     net.Listener    // of plain HTTP; nil: none
	certs        certificates    // nil: plain HTTP
	turnOverTLS  func(net.Conn)  // the relay's, for TLS connections to tcp; nil: none
	socket       *egress.Socket
	mediaTCP     net.Listener // of broadcasters; nil: none
	lock         *os.File
	secret       *access.Secret
	tokens       access.TokenVerifier // reads those of the secret, and of accounts
	signIn       *web.SignIn          // of the studio; nil: none
	listing      siaran.Listing
	listingReady func(context.Context) error // nil: the listing itself is asked
	hub          *siaran.Hub
	ingest       *ingest.Server
	egress       *egress.Server
	web          *web.Server
	relay        *turn.Server // nil: none
	relayed      relayed

	closers []func() error // in the order of opening
}

// openServer opens all parts. On error nothing stays open, and nothing was written unless both ports could be had.
func openServer(ctx context.Context, cfg Config, logger *slog.Logger) (_ *server, err error) {
	s := &server{cfg: cfg, logger: logger}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, open := range []func(context.Context) error{s.openPorts, s.openMediaTCP, s.openDiscovery, s.openRedirect, s.openData, s.openTLS, s.openRelay, s.openMedia, s.openAuth, s.openWeb} {
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
	if s.socket, err = egress.Listen(s.cfg.UDP, egress.SocketOptions{Public: s.cfg.PublicIP, Interfaces: s.cfg.announces, DSCP: s.cfg.DSCP}); err != nil {
		return fmt.Errorf("--udp %s: %w", s.cfg.UDP, err)
	}
	s.closers = append(s.closers, s.socket.Close)
	return nil
}

func (s *server) openData(ctx context.Context) (err error) {
	dir := s.cfg.Data
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("--data %s: the folder cannot be made: choose another with --data: %w", dir, err)
	}
	if s.lock, err = lockData(dir); err != nil {
		return err
	}
	s.closers = append(s.closers, s.lock.Close)
	if s.secret, _, err = access.OpenSecret(dir); err != nil {
		return err
	}
	return s.openListing(ctx)
}

func (s *server) openMedia(context.Context) error {
	certificate, err := openCertificate(s.cfg.Data, time.Now())
	if err != nil {
		return err
	}
	s.hub = siaran.NewHub(s.cfg.Grace)
	s.openReporter()
	s.ingest, err = ingest.New(s.hub, ingest.Config{
		Conn:         s.socket.BroadcasterConn(),
		Addresses:    s.socket.Addresses,
		Relayed:      egress.RelayedNet,
		TCP:          s.mediaTCP,
		TCPAddresses: s.tcpAddresses,
		Certificate:  certificate,
		SetupTimeout: s.cfg.SetupTimeout,
		MaxSessions:  s.cfg.MaxBroadcasts,
		Logger:       s.logger,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.ingest.Close)
	s.egress, err = egress.New(s.hub, s.socket, egress.Config{
		Certificate:  certificate,
		SetupTimeout: s.cfg.SetupTimeout,
		MaxSessions:  s.cfg.MaxViewers,
		Burst:        s.cfg.Burst,
		Logger:       s.logger,
	})
	if err != nil {
		return err
	}
	s.closers = append(s.closers, s.egress.Close)
	s.closers = append(s.closers, func() error { s.hub.Close(); return nil }) // first of all: sessions say goodbye
	return nil
}

// openReporter starts the reporter. It is stopped after all that it could report, and before the listing.
func (s *server) openReporter() {
	reporter := listing.NewReporter(s.hub, s.listing, siaran.Node{Name: s.cfg.Node, URL: s.nodeURL()}, s.logger)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- reporter.Run(ctx) }()
	s.closers = append(s.closers, func() error {
		s.hub.Close()
		stop()
		return <-done
	})
}

func (s *server) openWeb(context.Context) (err error) {
	s.web, err = web.New(web.Config{
		Hub:            s.hub,
		Listing:        s.listing,
		Ready:          s.listingReady,
		Ingest:         s.ingest,
		Egress:         s.egress,
		ICEServers:     s.iceServers,
		Secret:         s.secret,
		Tokens:         s.tokens,
		SignIn:         s.signIn,
		Health:         func(name siaran.StreamName) (any, bool) { return s.ingest.Health(name) },
		Node:           s.cfg.Node,
		BaseURL:        s.cfg.BaseURL,
		AllowedOrigins: s.cfg.AllowOrigin,
		TrustedProxies: s.cfg.TrustedProxy,
		HSTS:           s.cfg.HSTS,
		Logger:         s.logger,

		StrictSessionAuth: s.cfg.StrictSessionAuth,
		LaxTrickle:        s.cfg.LaxTrickle,
	})
	return err
}

// close closes what is open, the last first.
func (s *server) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// serve runs an opened server until ctx ends or answering fails, then closes it.
//
// The end comes in this order: the demo says goodbye over HTTP; the hub ends all broadcasts; no more requests are
// taken; all sessions close; the reporter writes that nothing is live here; the rest closes.
func (s *server) serve(ctx context.Context, ready func(facts)) error {
	f, err := s.facts()
	if err != nil {
		return errors.Join(err, s.close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	answering, stopAnswering := context.WithCancel(context.WithoutCancel(ctx))
	defer stopAnswering()

	var answers, demo errgroup.Group
	s.door = s.frontDoor()
	answers.Go(func() error {
		defer cancel() // without HTTP there is no use in going on
		return s.web.Serve(answering, s.door)
	})
	if s.certs != nil {
		answers.Go(func() error { return s.certs.Run(answering) })
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
	debug.FreeOSMemory() // starting took several times what running takes
	<-ctx.Done()

	err = demo.Wait()
	s.hub.Close()
	stopAnswering()
	return errors.Join(err, answers.Wait(), s.close())
}

// listDemo is the demo's stream, with a title when it is new.
func (s *server) listDemo(ctx context.Context) (siaran.Stream, error) {
	stream, err := s.listing.Stream(ctx, demoStream)
	if errors.Is(err, siaran.ErrUnknownStream) {
		title := demoTitle
		stream, err = s.listing.Edit(ctx, demoStream, siaran.StreamEdit{Title: &title})
	}
	return stream, err
}

// publishDemo broadcasts the built-in clip through the public endpoint, as anyone would. Its requests do not leave the
// process: no certificate is good for an address of the machine itself.
func (s *server) publishDemo(ctx context.Context) error {
	media, err := demo.Clip()
	if err != nil {
		return err
	}
	stream, err := s.listDemo(ctx)
	for err != nil { // the listing may come later
		s.logger.Warn("the demo waits for the listing", "err", err)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(demoRetry):
		}
		stream, err = s.listDemo(ctx)
	}
	token, err := s.secret.Mint(access.Claims{Stream: string(demoStream), Scopes: []access.Scope{access.Publish}, KeyGeneration: stream.KeyGeneration})
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	inside := newInsideTransport(s.door)
	defer inside.CloseIdleConnections()
	cfg := whip.Config{URL: s.localURL() + "/whip/" + string(demoStream), Token: token, Client: &http.Client{Transport: inside}}
	if err := publishClip(ctx, cfg, media, true, false, s.logger.With("part", "demo")); err != nil {
		s.logger.Warn("the demo has stopped", "err", err) // the server goes on without it
	}
	return nil
}

// localURL is where this process reaches its own HTTP port.
func (s *server) localURL() string {
	bound := s.tcp.Addr().(*net.TCPAddr).AddrPort()
	ip := bound.Addr().Unmap()
	if ip.IsUnspecified() {
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	return withPort(s.scheme(), ip.String(), int(bound.Port()))
}

// publicURL is where people reach the server, as far as that is known.
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

// nodeURL is publicURL as other servers are told it: empty when no name is known that means this server on other machines too.
func (s *server) nodeURL() string {
	if s.cfg.BaseURL == "" && s.ownName() == "" && s.tcp.Addr().(*net.TCPAddr).AddrPort().Addr().Unmap().IsUnspecified() {
		return ""
	}
	return s.publicURL()
}

// plain tells whether others than this machine's programs may come over plain HTTP, where tokens can be read on the way (RFC 9725 section 5).
func (s *server) plain() bool {
	return s.certs == nil && !strings.HasPrefix(s.cfg.BaseURL, "https://") && !s.tcp.Addr().(*net.TCPAddr).IP.IsLoopback()
}
