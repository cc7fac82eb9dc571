package main

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"siaran"
	"siaran/web/access"
)

// testServer is a whole server inside a test, on loopback and random ports.
type testServer struct {
	URL   string // without a slash at the end
	Admin string // a token that may do everything
	Data  string // folder

	client *http.Client // for requests; nil: the default one
	media  string       // UDP address
	cfg    Config
	secret *access.Secret
	logs   *testLog
	cancel context.CancelFunc
	ended  chan error
	once   sync.Once
}

// startServer runs a server until the test ends, and then looks whether goroutines are left, the test's own
// included: what a test opens it closes, by t.Cleanup at the latest. Each option may change the settings.
func startServer(t testing.TB, options ...func(*Config)) *testServer {
	t.Helper()
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		if err := goleak.Find(before); err != nil {
			t.Errorf("goroutines are left: %v", err)
		}
	})
	return startBare(t, options...)
}

// startBare is startServer without the look for goroutines.
func startBare(t testing.TB, options ...func(*Config)) *testServer {
	t.Helper()
	cfg := testConfig(t.TempDir())
	for _, o := range options {
		o(&cfg)
	}
	cfg, err := cfg.checked()
	if err != nil {
		t.Fatal(err)
	}
	s := &testServer{Data: cfg.Data, cfg: cfg, logs: &testLog{t: t}, ended: make(chan error, 1)}
	logger := slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: cfg.LogLevel}))
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	ready := make(chan facts, 1)
	go func() { s.ended <- run(ctx, cfg, logger, func(f facts) { ready <- f }) }()
	select {
	case f := <-ready:
		s.URL, s.Admin, s.media = f.url, f.admin, f.media
	case err := <-s.ended:
		cancel()
		t.Fatalf("the server does not start: %v", err)
	}
	t.Cleanup(func() { s.stop(t) })
	if s.secret, _, err = access.OpenSecret(cfg.Data); err != nil {
		t.Fatal(err)
	}
	return s
}

func testConfig(dir string) Config {
	return Config{
		Listen: "127.0.0.1:0", UDP: "127.0.0.1:0", Data: dir, Node: "test", ListingConfig: ListingConfig{ListingPlace: ListingPlace{Listing: "sqlite"}, Presence: "documents"},
		Grace: 30 * time.Second, MaxBroadcasts: 100, MaxViewers: 1000, Burst: 64 << 10, SetupTimeout: 15 * time.Second,
		LogFormat: "text", LogLevel: slog.LevelInfo,
		AuthConfig: AuthConfig{Dev: true}, // an emulator may be in the environment
	}
}

// stop ends the server as a signal does and waits for it. More calls do nothing.
func (s *testServer) stop(t testing.TB) {
	t.Helper()
	s.once.Do(func() {
		s.cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("the server ended with: %v", err)
		}
		s.logs.close()
	})
}

// token makes a token for a stream of key generation 0.
func (s *testServer) token(t testing.TB, stream string, scopes ...access.Scope) string {
	t.Helper()
	token, err := s.secret.Mint(access.Claims{Stream: stream, Scopes: scopes})
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func (s *testServer) whip(stream siaran.StreamName) string { return s.URL + "/whip/" + string(stream) }
func (s *testServer) whep(stream siaran.StreamName) string { return s.URL + "/whep/" + string(stream) }

// testLog hands log lines to the test, and keeps them for those who look.
type testLog struct {
	t testing.TB

	mu     sync.Mutex
	closed bool
	text   strings.Builder
}

func (l *testLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(b)
	if !l.closed {
		l.t.Log(strings.TrimRight(string(b), "\n"))
	}
	return len(b), nil
}

func (l *testLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *testLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
}

// eventually polls until ok, and fails the test when it takes longer than a machine under load needs.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyWithin(t, time.Minute, what, ok)
}

func eventuallyWithin(t testing.TB, patience time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestMain(m *testing.M) {
	os.Unsetenv("SIARAN_CONFIG")
	if os.Getenv(asCommand) != "" {
		main()
	}
	// For good: SIGHUP may still be on its way when the test that has sent it is over, and must not end the process then.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(m.Run())
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
