package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/cluster"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/load"
	"siaran/internal/tlsmux"
	"siaran/internal/tracing"
	"siaran/internal/webhook"
	"siaran/listing"
	"siaran/mediaport"
	"siaran/turn"
	"siaran/web"
	"siaran/web/access"
	"siaran/web/admission"
)

const ListingFile = "siaran.db" // in the data folder

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
//   - media sessions need the certificate in the data folder, the listing to report to, the relayed addresses, and the
//     tracer;
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
		s.openPorts, s.openMediaTCP, s.openDiscovery, s.openRedirect, s.openAdmin, s.openData,
		s.openTLS, s.openTracing, s.openRelay, s.openMedia, s.openAuth, s.openWeb,
	} {
		if err := open(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// background runs something until the server closes what was opened before it.
func (s *server) background(run func(context.Context)) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(ctx)
	}()
	s.closers = append(s.closers, func() error { stop(); <-done; return nil })
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
