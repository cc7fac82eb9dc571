package doctor

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

// one fails the test unless a single finding has this status and says all these words.
func one(t *testing.T, checks []Check, status Status, words ...string) {
	t.Helper()
	if len(checks) != 1 {
		t.Fatalf("%d findings: %v", len(checks), checks)
	}
	said(t, checks[0], status, words...)
}

func said(t *testing.T, c Check, status Status, words ...string) {
	t.Helper()
	if c.Status != status {
		t.Errorf("%s, and it should be %s", c, status)
	}
	for _, w := range words {
		if !strings.Contains(c.String(), w) {
			t.Errorf("nothing about %q in: %s", w, c)
		}
	}
	if (status == Fail || status == Warn) && c.Remedy == "" {
		t.Errorf("no remedy: %s", c)
	}
}

// named is the findings with a name.
func named(r *Report, name string) (list []Check) {
	for _, c := range r.Checks {
		if c.Name == name {
			list = append(list, c)
		}
	}
	return list
}

// fakeServer answers as Siaran does where nothing else is said.
func fakeServer(t *testing.T, secure bool, special map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	routes := map[string]http.HandlerFunc{
		"/healthz":          text(`{"status":"ok"}`),
		"/readyz":           text(`{"status":"ready"}`),
		"/api/streams":      text(`{"streams":[]}`),
		"/api/ice":          text(`{"iceServers":[]}`),
		"/api/openapi.yaml": text("openapi: 3.1.0\ninfo:\n  title: Siaran\n"),
		"/whep/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Access-Control-Allow-Origin", "*")
			w.Header().Set("Access-Control-Allow-Headers", "Authorization, Content-Type, If-Match")
		},
	}
	for path, handler := range special {
		routes[path] = handler
	}
	mux := http.NewServeMux()
	for path, handler := range routes {
		mux.HandleFunc(path, handler)
	}
	s := httptest.NewUnstartedServer(mux)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // of broken handshakes, which are the point
	if secure {
		s.StartTLS()
	} else {
		s.Start()
	}
	t.Cleanup(s.Close)
	return s
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
