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

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/errgroup"

	"siaran"
)

// Server answers over HTTP. It has no goroutine of its own outside Serve.
type Server struct {
	cfg      Config
	log      *slog.Logger
	echo     *echo.Echo
	board    *board
	known    *known
	pictures *pictures
	assets   *assets
	keyLimit *limiter // POST to WHIP, by credential
	draining atomic.Bool
	http     *http.Server

	addressLimit, sessionLimit *limiter // of what changes sessions and streams
	iceLimit                   *limiter // of credentials for ICE servers, by source address
	reads                      *reads

	openTime, bodyTime  time.Duration // for a session to be opened, and for its offer to come in
	pingEvery, sendTime time.Duration // of the event stream
}

// New makes a server that does nothing until Serve.
func New(cfg Config) (*Server, error) {
	cfg, err := cfg.checked()
	if err != nil {
		return nil, err
	}
	assets, err := readAssets()
	if err != nil {
		return nil, err
	}
	s := &Server{
		cfg: cfg, log: cfg.Logger, assets: assets, openTime: openTime, bodyTime: bodyTime, pingEvery: pingEvery, sendTime: sendTime,
		board:        newBoard(cfg.Listing, cfg.Logger, cfg.Limits.Watchers),
		known:        &known{last: make(map[siaran.StreamName]rules)},
		pictures:     newPictures(),
		keyLimit:     newLimiter(cfg.Limits.Key),
		addressLimit: newLimiter(cfg.Limits.Address),
		sessionLimit: newLimiter(cfg.Limits.Session),
		iceLimit:     newLimiter(cfg.Limits.ICE),
		reads:        newReads(cfg),
	}
	s.echo = echo.New()
	s.echo.HTTPErrorHandler = s.onError
	s.echo.IPExtractor = ipExtractor(cfg.TrustedProxies)
	s.echo.Pre(tidyPath)
	s.echo.Use(s.logRequests, s.recoverPanics, s.cors, s.guard, wholeParts, oneToken)
	s.routes()
	s.http = &http.Server{
		Handler:           s.echo,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second, // the event stream sets its own
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    16 << 10,
		HTTP2:             &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second}, // who has vanished says nothing
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
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
		trust = append(trust, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(trust...)
}

// Serve answers on l until ctx ends, then lets running requests finish within the drain
// time and closes l. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.board.run(ctx) })
	g.Go(func() error {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		s.draining.Store(true)
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.DrainTimeout)
		defer cancel()
		if err := s.http.Shutdown(bound); err != nil {
			s.log.Warn("requests were cut off at the end", "err", err)
			return s.http.Close()
		}
		return nil
	})
	return g.Wait()
}
