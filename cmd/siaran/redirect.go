package main

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
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

// sentOn are the methods of requests that are sent on. Others change what is there already, and RFC 9725 has no redirects for them.
const sentOn = "GET, HEAD, OPTIONS, POST"

// sendOn keeps method and body with 308: of 301 clients make a GET (RFC 9725 section 4.5, RFC 9110 section 15.4.9).
func (s *server) sendOn(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(strings.Split(sentOn, ", "), r.Method) {
		w.Header().Set("Allow", sentOn)
		refuse(w, http.StatusMethodNotAllowed, "this port only sends on to HTTPS: use the address that begins with https://")
		return
	}
	path := r.URL.RequestURI()
	if !strings.HasPrefix(path, "/") { // such as x:.example.net, which would make another host of ours
		refuse(w, http.StatusBadRequest, "the address of the request is no path")
		return
	}
	to := s.cfg.BaseURL
	if !strings.HasPrefix(to, "https://") {
		host, ok := web.HostOf(r.Host)
		if !ok {
			refuse(w, http.StatusBadRequest, "the Host of the request is no host")
			return
		}
		to = withPort("https", host, s.tcp.Addr().(*net.TCPAddr).Port)
	}
	w.Header().Set("Location", to+path)
	w.WriteHeader(http.StatusPermanentRedirect)
}

// refuse answers with a problem (RFC 9457), as the server itself does.
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail, "error": detail})
}
