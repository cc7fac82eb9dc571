package web

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/sqlite"
	"siaran/mediaport"
	"siaran/web/access"
)

func TestMain(m *testing.M) {
	code := testutil.Main(m)
	whole := !slices.ContainsFunc([]string{"run", "skip", "list", "fuzz"}, func(name string) bool {
		return flag.Lookup("test."+name).Value.String() != ""
	})
	if unseen := theContract().unseen(); code == 0 && whole && len(unseen) > 0 {
		fmt.Printf("openapi.yaml describes answers that no test gets:\n%s\n", strings.Join(unseen, "\n"))
		code = 1
	}
	os.Exit(code)
}

// site is a whole server on loopback.
type site struct {
	t       *testing.T
	hub     *siaran.Hub
	listing siaran.Listing
	secret  *access.Secret
	server  *Server
	client  *http.Client
	url     string
	log     *logBuffer
	admin   string // a token for everything

	stopServing func()
}

// start runs a server with real parts. Each change may change the configuration first.
func start(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	return startTweaked(t, func(*Server) {}, change...)
}

// startTweaked is start with a change to the server before it serves.
func startTweaked(t *testing.T, tweak func(*Server), change ...func(*Config)) *site {
	t.Helper()
	// A machine that is busy with other things may keep a peer from sending for seconds.
	s := &site{t: t, hub: siaran.NewHub(testutil.Patience, codec.NewFramer), log: &logBuffer{}}
	logger := slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	s.secret, _, err = access.OpenSecret(t.TempDir())
	s.must(err)
	s.admin = s.token(access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Admin}})
	sqlite, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "siaran.db"))
	s.must(err)
	s.listing = sqlite
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	s.must(err)
	cert := testutil.Certificate(t)
	out, err := egress.New(s.hub, socket, egress.Config{
		Certificate: cert, Logger: logger, SetupTimeout: testutil.Patience,
	})
	s.must(err)
	in, err := ingest.New(s.hub, ingest.Config{
		Port: socket, Addresses: socket.Addresses, Certificate: cert, Logger: logger, SetupTimeout: testutil.Patience,
	})
	s.must(err)

	cfg := Config{
		Hub: s.hub, Listing: s.listing, Ingest: in, Egress: out, Secret: s.secret, Node: "here",
		Logger: logger, DrainTimeout: time.Second, Drainer: &emptying{},
		Health: func(name siaran.StreamName) (any, bool) { return in.Health(name) },
	}
	for _, f := range change {
		f(&cfg)
	}
	s.server, err = New(cfg)
	s.must(err)
	tweak(s.server)
	reported := s.listing
	s.listing = s.server.listing // what a test changes through it is seen at once
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	s.url = "http://" + l.Addr().String()
	s.client = &http.Client{Transport: checking{&http.Transport{}, t},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

	ctx, cancel := context.WithCancel(context.Background())
	s.stopServing = cancel
	reporting, stopReporting := context.WithCancel(context.Background())
	reporter := listing.NewReporter(s.hub, reported, siaran.Node{Name: "here"}, logger)
	var serving, reports sync.WaitGroup
	serving.Go(func() {
		if err := s.server.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	reports.Go(func() { _ = reporter.Run(reporting) }) // its error says that the context has ended
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		cancel()
		serving.Wait()
		for _, closer := range []io.Closer{in, out} {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
		s.hub.Close()
		stopReporting()
		reports.Wait()
		for _, closer := range []io.Closer{socket, s.listing} {
			if err := closer.Close(); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

func (s *site) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) token(c access.Claims) string {
	s.t.Helper()
	token, err := s.secret.Mint(c)
	s.must(err)
	return token
}

// publisher is a token to publish one stream with.
func (s *site) publisher(stream string) string {
	return s.token(access.Claims{Stream: stream, Scopes: []access.Scope{access.Publish}})
}

// logBuffer keeps what has been logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// call is a request to be sent.
type call struct {
	method, path string
	token        string // sent as bearer
	body         string
	header       http.Header
}

// with sets header fields, given as names and values in turn.
func (c call) with(pairs ...string) call {
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	for i := 0; i < len(pairs); i += 2 {
		h[http.CanonicalHeaderKey(pairs[i])] = []string{pairs[i+1]}
	}
	c.header = h
	return c
}

// reply is a response whose body has been read.
type reply struct {
	*http.Response
	body string
}

func (s *site) do(c call) reply {
	s.t.Helper()
	url := c.path
	if strings.HasPrefix(url, "/") {
		url = s.url + url
	}
	req, err := http.NewRequestWithContext(s.t.Context(), c.method, url, strings.NewReader(c.body))
	s.must(err)
	for name, values := range c.header {
		req.Header[name] = values
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := s.client.Do(req)
	s.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	s.must(err)
	return reply{resp, string(body)}
}

// get decodes the JSON at a path.
func (s *site) get(path, token string, into any) reply {
	s.t.Helper()
	r := s.do(call{method: "GET", path: path, token: token})
	if r.StatusCode == http.StatusOK {
		s.must(json.Unmarshal([]byte(r.body), into))
	}
	return r
}

// wantProblem checks that r is an error in the form that all errors must have.
func wantProblem(t *testing.T, r reply, status int) problem {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("status %d, want %d: %s", r.StatusCode, status, r.body)
	}
	var p problem
	if r.Request.Method != http.MethodHead {
		if err := json.Unmarshal([]byte(r.body), &p); err != nil {
			t.Fatalf("not JSON: %q", r.body)
		}
		if p.Type != "/problems/"+p.Code || p.Title == "" || p.Status != status || p.Detail == "" || p.Error != p.Detail {
			t.Errorf("problem %+v", p)
		}
	}
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("Content-Type %q", got)
	}
	if later := status == 429 || status == 503; later && r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if status == 401 && !strings.HasPrefix(r.Header.Get("WWW-Authenticate"), "Bearer") {
		t.Error("no WWW-Authenticate")
	}
	if status == 405 && r.Header.Get("Allow") == "" {
		t.Error("no Allow")
	}
	wantCORS(t, r)
	return p
}

func wantCORS(t *testing.T, r reply) {
	t.Helper()
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Allow-Methods":  "PATCH",
		"Access-Control-Allow-Headers":  "If-Match",
		"Access-Control-Expose-Headers": "WWW-Authenticate",
		"Vary":                          "Origin",
		"X-Content-Type-Options":        "nosniff",
	} {
		if got := r.Header.Get(name); !strings.Contains(got, want) {
			t.Errorf("%s is %q, want %q in it", name, got, want)
		}
	}
}

// recording are the RTP payloads of an encoder: 10 frames, the first and the sixth of them key frames.
type recording []struct {
	timestamp int64
	marker    bool
	payload   []byte
}

func recorded(t testing.TB, name string) recording {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "internal", "codec", "testdata", "frames", name+".rtp"))
	if err != nil {
		t.Fatal(err)
	}
	var list recording
	for len(b) > 7 {
		n := int(binary.BigEndian.Uint16(b))
		list = append(list, struct {
			timestamp int64
			marker    bool
			payload   []byte
		}{int64(binary.BigEndian.Uint32(b[2:])), b[6] != 0, b[7 : 7+n]})
		b = b[7+n:]
	}
	return list
}

// broadcast makes a stream live without a network, with the first n packets of a recording.
func (s *site) broadcast(stream string, codec siaran.CodecName, packets recording) (*siaran.Publication,
	*siaran.Writer) {
	s.t.Helper()
	pub, err := s.hub.Publish(siaran.StreamName(stream), "test",
		[]siaran.TrackSpec{{Codec: siaran.Codec{Name: codec, ClockRate: 90000}}})
	s.must(err)
	w := pub.Writer(siaran.KindVideo, "")
	for i, p := range packets {
		s.must(w.Write(int64(i), p.timestamp, p.marker, p.payload, time.Now()))
	}
	return pub, w
}

// live makes a stream live and waits until the listing shows it.
func (s *site) live(stream string) *siaran.Publication {
	s.t.Helper()
	pub, _ := s.broadcast(stream, siaran.VP8, recorded(s.t, "vp8"))
	s.listed(stream, siaran.StatusLive)
	return pub
}

func (s *site) listed(stream string, status siaran.Status) {
	s.t.Helper()
	testutil.Eventually(s.t, stream+" is "+string(status), func() bool {
		got, err := s.listing.Stream(s.t.Context(), siaran.StreamName(stream))
		return err == nil && got.Status == status
	})
}

// offer is one that a real client has sent.
func offer(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "internal", "sdp", "testdata", "offers", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
