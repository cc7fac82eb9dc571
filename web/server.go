package web

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"siaran/internal/measure"
	"siaran/listing"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"
)

// Server is the HTTP side of the server. It has no goroutines outside Serve.
type Server struct {
	cfg      Config
	log      *slog.Logger
	echo     *echo.Echo
	liveFeed *liveFeed
	listing  *listing.Cached
	pictures *pictures
	assets   *assets
	apiPages *apiPages
	keyLimit *limiter // POST to WHIP, by credential
	leaving  atomic.Bool
	settings atomic.Pointer[Settings]
	http     *http.Server

	addressLimit *sourceLimiter // of requests that change sessions and streams
	sessionLimit *limiter       // of the same, by session
	restartLimit *limiter       // of ICE restarts, by session
	iceLimit     *sourceLimiter // of credentials for ICE servers
	pictureLimit *sourceLimiter // of key frames
	listLimit    *sourceLimiter // of lists of streams
	allStreams   renderedList
	budget       *readBudget
	askBudget    *askBudget
	rights       *rights
	viewerEvents *viewerStreams
	counters     *routeCounters
	placements   measure.Tally
	events       *eventLog
	joins        *joins
	tooBusy      tooBusy
	overviews    overviews

	whipSlots, whepSlots chan struct{} // of the two protocols

	openTime, bodyTime  time.Duration // for opening a session, and for receiving its offer
	pingEvery, sendTime time.Duration // of event streams
	tellEvery           time.Duration // of viewers' own

	lookEvery, recheckEvery time.Duration // see withdraw and recheck
}

// New prepares a server. It does nothing before Serve.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	assets, err := readAssets()
	if err != nil {
		return nil, err
	}
	apiPages, err := makeAPIPages()
	if err != nil {
		return nil, err
	}
	cached := listing.NewCached(cfg.Listing)
	events := new(eventLog)
	s := &Server{
		cfg: cfg, log: cfg.Logger, assets: assets, apiPages: apiPages,
		openTime: openTime, bodyTime: bodyTime, pingEvery: pingEvery, sendTime: sendTime, tellEvery: tellEvery,
		lookEvery: lookEvery, recheckEvery: recheckEvery,
		liveFeed: newLiveFeed(cached, cfg.Logger, cfg.Limits.Watchers, cfg.Limits.Share,
			time.Second/time.Duration(cfg.Limits.Joins)),
		listing:      cached,
		pictures:     newPictures(),
		keyLimit:     newLimiter(cfg.Limits.Key),
		addressLimit: newSourceLimiter(cfg.Limits.Address),
		sessionLimit: newLimiter(cfg.Limits.Session),
		restartLimit: newLimiter(cfg.Limits.Restart),
		iceLimit:     newSourceLimiter(cfg.Limits.ICE),
		pictureLimit: newSourceLimiter(cfg.Limits.Picture),
		listLimit:    newSourceLimiter(cfg.Limits.List),
		budget:       newReadBudget(cfg.Limits, cached.Metered()),
		askBudget:    newAskBudget(cfg.Limits),
		rights:       newRights(cfg),
		counters:     newRouteCounters(),
		viewerEvents: newViewerStreams(cfg.Hub, cfg.Egress, cfg.Limits.Watchers, cfg.Limits.Share, events),
		events:       events,
		joins:        newJoins(cfg.Limits.Joins),
	}
	s.Adjust(cfg.settings())
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = s.onError
	s.echo.IPExtractor = ipExtractor(cfg.TrustedProxies)
	s.echo.Pre(tidyPath)
	s.echo.Use(s.logRequests, s.recoverPanics, s.cors, s.guard, wholeParts, oneToken, s.between, s.unlessLeaving)
	s.routes()
	s.http = &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // the event stream sets its own
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		// Pings find out that a client has vanished.
		HTTP2:    &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

func ipExtractor(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	trust := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		p = p.Masked()
		mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: mask}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Serve answers on l until ctx ends, then lets running requests finish within the drain time and closes l. It is called
// once. If the listener has a method ConnState, it is used as that of http.Server.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	if watching, ok := l.(interface {
		ConnState(net.Conn, http.ConnState)
	}); ok {
		s.http.ConnState = watching.ConnState
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.liveFeed.run(ctx) })
	g.Go(func() error { s.viewerEvents.run(ctx); return nil })
	g.Go(func() error { s.withdraw(ctx); return nil })
	g.Go(func() error { s.recheck(ctx); return nil })
	if s.cfg.Admission != nil {
		g.Go(func() error { s.readmit(ctx); return nil })
	}
	g.Go(func() error {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.leaving.Store(true)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
		defer cancel()
		if err := s.http.Shutdown(bound); err != nil {
			s.log.Warn("some requests did not finish in time and were cut off", "error", err)
			return s.http.Close()
		}
		return nil
	})
	return g.Wait()
}
