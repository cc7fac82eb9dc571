package harness

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/web/access"
)

// Server is a whole server inside a test, on loopback and random ports.
type Server struct {
	URL   string // without a slash at the end
	Admin string // a token that may do everything
	Data  string // folder

	Operators string // URL of metrics and profiles; empty if they are off

	Client *http.Client // for requests; nil: the default one
	Media  string       // UDP address
	Config server.Config
	Secret *access.Secret
	Logs   *Log
	again  server.Reload
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

// Start runs a server until the test ends. Each option may change the settings.
func Start(t testing.TB, options ...func(*server.Config)) *Server {
	t.Helper()
	cfg := Config(t.TempDir())
	for _, o := range options {
		o(&cfg)
	}
	cfg, err := cfg.Checked()
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Data: cfg.Data, Config: cfg, Logs: &Log{T: t}, ended: make(chan error, 1)}
	logger := slog.New(slog.NewTextHandler(s.Logs, &slog.HandlerOptions{Level: cfg.LogLevel}))
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	ready := make(chan server.Banner, 1)
	go func() { s.ended <- server.Run(ctx, cfg, logger, func(f server.Banner) { ready <- f }, s.again) }()
	select {
	case f := <-ready:
		s.URL, s.Admin, s.Media, s.Operators = f.URL, f.Admin, f.Media, f.Operators
	case err := <-s.ended:
		cancel()
		t.Fatalf("the server does not start: %v", err)
	}
	t.Cleanup(func() { s.Stop(t) })
	if s.Secret, err = cfg.OpenSecret(); err != nil {
		t.Fatal(err)
	}
	return s
}

func Config(dir string) server.Config {
	return server.Config{
		Listen: "127.0.0.1:0", UDP: "127.0.0.1:0", Data: dir, Node: "test",
		ListingConfig: server.ListingConfig{ListingPlace: server.ListingPlace{Listing: "sqlite"}, Presence: "documents"},
		Grace:         2 * time.Minute, MaxBroadcasts: 100, PerOwner: 4, MaxLayers: 3, MaxBitrate: 100e6, MaxViewers: 1000,
		MaxPacketRate: 20_000, MaxJoins: 1000, MaxEvents: 10_000, SourceShare: 25,
		Burst: 64 << 10, SetupTimeout: time.Minute,
		LoadConfig: server.LoadConfig{MaxLoad: 0}, // tests run on busy machines, where it would refuse viewers, rightly
		LogFormat:  "text", LogLevel: slog.LevelInfo,
		AuthConfig: server.AuthConfig{Dev: true}, // an emulator may be in the environment
	}
}

// Stop ends the server as a signal does and waits for it. More calls do nothing.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	s.once.Do(func() {
		s.cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		s.Logs.close()
	})
}

// Token makes a token for a stream of key generation 0.
func (s *Server) Token(t testing.TB, stream string, scopes ...access.Scope) string {
	t.Helper()
	token, err := s.Secret.Mint(access.Claims{Stream: stream, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *Server) WHIP(stream siaran.StreamName) string { return s.URL + "/whip/" + string(stream) }
func (s *Server) WHEP(stream siaran.StreamName) string { return s.URL + "/whep/" + string(stream) }

// Address is where the server listens.
func (s *Server) Address() string {
	_, address, _ := strings.Cut(s.URL, "://")
	return strings.Replace(address, "localhost", "127.0.0.1", 1)
}
