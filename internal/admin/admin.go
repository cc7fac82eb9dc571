package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
	"golang.org/x/sync/errgroup"
)

const (
	maxConnections  = 32
	maxScrapes      = 4 // at the same time
	maxProfile      = 2 * time.Minute
	defaultSessions = 1000
	maxSessions     = 10_000
	drainTime       = time.Second
)

// Config is what a Server needs.
type Config struct {
	Metrics prometheus.Gatherer
	// Sessions describes at most limit sessions of each kind, of one stream unless it is empty. It is fit for JSON.
	Sessions func(stream string, limit int) any
	Build    any // fit for JSON
	// Authorize returns nil if a token may see everything here, or if it is for metrics, these. nil: the port is on
	// loopback, and nobody is asked.
	Authorize func(token string, metrics bool) error
	Logger    *slog.Logger
}

// Server answers operators. It has no goroutines outside Serve.
type Server struct {
	cfg   Config
	http  *http.Server
	debug chan struct{} // holds one element while a profile is made or sessions are listed
}

// New prepares a server. It does nothing before Serve.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, debug: make(chan struct{}, 1)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", index)
	mux.Handle("GET /metrics", promhttp.HandlerFor(shared(cfg.Metrics), promhttp.HandlerOpts{
		EnableOpenMetrics: true, MaxRequestsInFlight: maxScrapes,
		ErrorLog: slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelWarn),
	}))
	mux.HandleFunc("GET /debug/sessions", s.alone(s.sessions))
	mux.HandleFunc("GET /debug/build", func(w http.ResponseWriter, _ *http.Request) { sendJSON(w, cfg.Build) })
	mux.HandleFunc("GET /debug/pprof/", s.alone(pprof.Index)) // and below it the profiles by their names
	mux.HandleFunc("GET /debug/pprof/profile", s.alone(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/trace", s.alone(pprof.Trace))
	mux.HandleFunc("GET /debug/pprof/symbol", s.alone(pprof.Symbol))
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       5 * time.Second,
		WriteTimeout:      maxProfile,
		IdleTimeout:       2 * time.Minute, // Prometheus scrapes once a minute by default
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on l until ctx ends, and closes it. It is called once.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	var g errgroup.Group
	g.Go(func() error {
		if err := s.http.Serve(netutil.LimitListener(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		bound, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		if s.http.Shutdown(bound) != nil { // a profile takes longer than anybody waits
			return s.http.Close()
		}
		return nil
	})
	return g.Wait()
}

// guard answers only those who may ask; see the package's comment.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if s.cfg.Authorize == nil {
			if why := foreign(r); why != "" {
				http.Error(w, why, http.StatusForbidden)
				return
			}
		} else if err := s.cfg.Authorize(bearer(r), r.URL.Path == "/metrics"); err != nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="siaran admin"`)
			http.Error(w, "send an admin token as Authorization: Bearer TOKEN "+
				"(siaran token --stream '*' --scope admin); for /metrics one with --scope metrics will do",
				http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// foreign says why a request to loopback may be the work of a page of another site; empty if it cannot be.
func foreign(r *http.Request) string {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return "requests from other sites are refused here"
	}
	host := r.Host
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err != nil && !strings.EqualFold(host, "localhost") {
		return "ask for localhost or 127.0.0.1: other host names are refused here, as pages of other sites could use them"
	}
	return ""
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// alone answers one request at a time, and says so to others.
func (s *Server) alone(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case s.debug <- struct{}{}:
			defer func() { <-s.debug }()
			next(w, r)
		default:
			w.Header().Set("Retry-After", "5")
			http.Error(w, "another profile or list is being made: try again in some seconds",
				http.StatusServiceUnavailable)
		}
	}
}

// sessions lists sessions: ?stream= those of one stream, ?limit= how many of each kind.
func (s *Server) sessions(w http.ResponseWriter, r *http.Request) {
	limit := defaultSessions
	if text := r.URL.Query().Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > maxSessions {
			http.Error(w, "limit: give a number from 1 to "+strconv.Itoa(maxSessions), http.StatusBadRequest)
			return
		}
		limit = n
	}
	sendJSON(w, s.cfg.Sessions(r.URL.Query().Get("stream"), limit))
}

func sendJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	_ = out.Encode(v) // an error means that the client has gone
}

const indexText = `Siaran, for operators

/metrics          for Prometheus; docs/metrics.md explains each
/debug/sessions   broadcasters and viewers as JSON; ?stream=NAME, ?limit=N
/debug/build      version
/debug/pprof/     profiles of the process
`

func index(w http.ResponseWriter, _ *http.Request) {
	_, _ = w.Write([]byte(indexText)) // an error means that the client has gone
}
