package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran/cmd/siaran/internal/certs"
	"siaran/cmd/siaran/internal/front"
	"siaran/web"
)

// serveRedirect sends plain HTTP on to HTTPS until ctx ends. Nothing of a request is logged: it may carry a token.
func (s *server) serveRedirect(ctx context.Context) error {
	handler := http.Handler(http.HandlerFunc(s.sendOn))
	if acme, ok := s.certs.(*certs.ACME); ok {
		handler = acme.HTTPHandler(handler)
	}
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      5 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.logger.Handler(), slog.LevelDebug),
	}
	server.SetKeepAlivesEnabled(false)
	door := front.Listen(s.redirect, front.Config{Logger: s.logger, Limits: front.Limits{Open: 1024}})
	var g errgroup.Group
	g.Go(func() error {
		if err := server.Serve(door); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		return server.Close()
	})
	return g.Wait()
}

// sendOn keeps method and body with 308: of 301 clients make a GET (RFC 9725 section 4.5, RFC 9110 section 15.4.9).
func (s *server) sendOn(w http.ResponseWriter, r *http.Request) {
	path := r.URL.RequestURI()
	if !strings.HasPrefix(path, "/") { // such as x:.example.net, which would make another host of ours
		http.Error(w, "the address of the request is no path", http.StatusBadRequest)
		return
	}
	to := s.cfg.BaseURL
	if !strings.HasPrefix(to, "https://") {
		host, ok := web.HostOf(r.Host)
		if !ok {
			http.Error(w, "the Host of the request is no host", http.StatusBadRequest)
			return
		}
		to = withPort("https", host, s.tcp.Addr().(*net.TCPAddr).Port)
	}
	w.Header().Set("Location", to+path)
	w.WriteHeader(http.StatusPermanentRedirect)
}
