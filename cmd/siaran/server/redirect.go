package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran/internal/certs"
	"siaran/internal/tlsmux"
	"siaran/web"
)

// serveRedirect redirects plain HTTP to HTTPS until ctx ends. It logs nothing of a request, which may carry a token.
func (s *server) serveRedirect(ctx context.Context) error {
	handler := http.Handler(http.HandlerFunc(s.redirectToHTTPS))
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
	door := tlsmux.Listen(s.redirect, tlsmux.Config{
		Logger:  s.logger,
		Proxies: s.cfg.TrustedProxy,
		Limits:  tlsmux.Limits{Open: 1024},
	})
	server.ConnState = door.ConnState
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

// redirected are the methods of requests that are redirected. The others change a session that exists already, and RFC
// 9725 has no redirects for them.
const redirected = "GET, HEAD, OPTIONS, POST"

// redirectToHTTPS redirects with 308, which keeps the method and the body. After a 301, clients send a GET (RFC 9725
// section 4.5, RFC 9110 section 15.4.9).
func (s *server) redirectToHTTPS(w http.ResponseWriter, r *http.Request) {
	if !slices.Contains(strings.Split(redirected, ", "), r.Method) {
		w.Header().Set("Allow", redirected)
		web.Refuse(w, web.ErrHTTPSNeeded)
		return
	}
	path := r.URL.RequestURI()
	if !strings.HasPrefix(path, "/") { // such as x:.example.net, which would turn our host name into another
		web.Refuse(w, web.ErrNoPath)
		return
	}
	to := s.cfg.BaseURL
	if !strings.HasPrefix(to, "https://") {
		host, ok := web.HostOf(r.Host)
		if !ok {
			web.Refuse(w, web.ErrNoHost)
			return
		}
		to = withPort("https", host, s.tcp.Addr().(*net.TCPAddr).Port)
	}
	w.Header().Set("Location", to+path)
	w.WriteHeader(http.StatusPermanentRedirect)
}
