package webhook

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/signedpost"
	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

var secret = "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

// site is a receiver: a real HTTP server, whose connections are pipes so that it can live in synthetic time.
type site struct {
	*testutil.Pipe

	mu     sync.Mutex
	away   bool
	answer func(w http.ResponseWriter, r *http.Request, e event) // nil: 204
	dials  int
	got    []event // what was answered with 2xx, in order
	tried  int
}

// event is what a receiver has been sent.
type event struct {
	ID   string `json:"-"`
	Type string
	Data struct {
		Stream    siaran.StreamName
		Broadcast string
		Reason    string
		Joined    []struct{ ID string }
		Left      []string
		Viewers   int
	}
}

func (e event) String() string { return e.Type + " " + string(e.Data.Stream) }

func newSite(t *testing.T) *site {
	s := &site{Pipe: testutil.NewPipe()}
	server := &http.Server{Handler: s}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(s)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

func (s *site) dial(ctx context.Context) (net.Conn, error) {
	s.mu.Lock()
	away := s.away
	s.dials++
	s.mu.Unlock()
	if away {
		return nil, errors.New("connection refused")
	}
	return s.Dial(ctx)
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	wh, err := standardwebhooks.NewWebhook(secret)
	if err == nil {
		err = wh.Verify(body, r.Header)
	}
	var e event
	if err = errors.Join(err, json.Unmarshal(body, &e)); err != nil {
		panic(err)
	}
	e.ID = r.Header.Get("webhook-id")
	s.mu.Lock()
	answer := s.answer
	s.tried++
	s.mu.Unlock()
	seen := &statusWriter{ResponseWriter: w, status: http.StatusNoContent}
	if answer != nil {
		answer(seen, r, e)
	}
	if seen.status < 300 {
		s.mu.Lock()
		s.got = append(s.got, e)
		s.mu.Unlock()
		if answer == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

func (s *site) set(away bool, answer func(http.ResponseWriter, *http.Request, event)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away, s.answer = away, answer
}

// types returns what has been taken, about one stream or, if that is empty, about all.
func (s *site) types(stream siaran.StreamName) (list []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.got {
		if stream == "" || e.Data.Stream == stream {
			list = append(list, strings.TrimPrefix(e.Type, "stream."))
		}
	}
	return list
}

// world is a hub with a sender, in synthetic time.
type world struct {
	t      *testing.T
	path   string
	hub    *siaran.Hub
	sites  []*site
	sender *Sender
	log    *bytes.Buffer
}

// inBubble runs a test with a number of receivers in synthetic time.
func inBubble(t *testing.T, receivers int, test func(w *world)) {
	path := filepath.Join(t.TempDir(), "webhooks.db")
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, path: path, log: &bytes.Buffer{}}
		for range receivers {
			w.sites = append(w.sites, newSite(t))
		}
		w.open()
		test(w)
		w.close()
	})
}

func (w *world) open() {
	w.t.Helper()
	w.hub = siaran.NewHub(30*time.Second, codec.NewFramer)
	secrets, err := signedpost.ParseSecrets(secret)
	if err != nil {
		w.t.Fatal(err)
	}
	cfg := Config{
		Hub: w.hub, Path: w.path, Secrets: secrets, Node: "n", Return: time.Minute,
		Logger: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	transport := &http.Transport{MaxConnsPerHost: mostAtOnce, MaxResponseHeaderBytes: 1 << 15}
	transport.DialContext = func(ctx context.Context, _, addr string) (net.Conn, error) {
		var i int
		if _, err := fmt.Sscanf(addr, "site%d", &i); err != nil {
			return nil, err
		}
		return w.sites[i].dial(ctx)
	}
	cfg.Transport = transport
	for i := range w.sites {
		cfg.URLs = append(cfg.URLs, &url.URL{Scheme: "http", Host: fmt.Sprint("site", i)})
	}
	if w.sender, err = Open(w.t.Context(), cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) close() {
	w.t.Helper()
	w.hub.Close()
	if err := w.sender.Close(); err != nil {
		w.t.Error(err)
	}
}

// kill ends the sender as SIGKILL would: nothing is flushed, and the hub says nothing.
func (w *world) kill() {
	w.sender.hurry()
	w.sender.feed.Close()
	_ = w.sender.store.close()
	w.sender.stop()
	w.sender.running.Wait()
	w.hub.Close()
}

func (w *world) want(site int, stream siaran.StreamName, types ...string) {
	w.t.Helper()
	if got := w.sites[site].types(stream); !slices.Equal(got, types) {
		w.t.Errorf("%s: %v, want %v", stream, got, types)
	}
}

// pass lets time go by.
func pass(d time.Duration) {
	time.Sleep(d) // in a bubble
	synctest.Wait()
}
