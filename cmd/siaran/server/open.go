package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"time"

	"siaran"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/codec"
	"siaran/internal/netaddr"
	"siaran/listing"
	"siaran/mediaport"
	"siaran/web"
)

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
	s.background(func(ctx context.Context) {
		renewCertificate(ctx, s.cfg.Data, certificate, func(fresh *tls.Certificate) error {
			if err := s.ingest.UseCertificate(fresh); err != nil {
				return err
			}
			s.egress.UseCertificate(fresh)
			return nil
		}, s.logger)
	})
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
