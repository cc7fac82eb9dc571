package cluster

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"siaran/e2e/harness"
	"siaran/internal/testutil"
)

// TestBadParents: viewers are told to come again, and the log says what is wrong.
func TestBadParents(t *testing.T) {
	t.Parallel()
	serve := func(h http.HandlerFunc) string {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		return s.URL
	}
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	secure := func(h http.HandlerFunc) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = nil
		s.StartTLS()
		t.Cleanup(s.Close)
		return s.URL
	}
	deaf, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { deaf.Close() })
	for name, tt := range map[string]struct{ parent, says string }{
		"nobody": {"http://" + testutil.FreeAddress(t), "cannot be reached"},
		"a page": {serve(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }), "text/html"},
		"circles": {serve(func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusTemporaryRedirect)
		}), "redirects"},
		"endless": {serve(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(strings.Repeat("{", 1<<20)))
		}), "instead of text/event-stream"},
		"a certificate of its own": {secure(func(http.ResponseWriter, *http.Request) {}), "certificate"},
		"silent": {serve(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-stop:
			}
		}), "cannot be reached"},
		"deaf": {"http://" + deaf.Addr().String(), "cannot be reached"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := node(t, "edge", secretFile(t), below(tt.parent))
			wantStatus(t, "a viewer", offer(t, s, harness.Cats, ""), http.StatusServiceUnavailable)
			wantStatus(t, "another", offer(t, s, harness.Cats, ""), http.StatusServiceUnavailable)
			harness.Eventually(t, "the log says what is wrong", func() bool { return lines(s, tt.says) >= 1 })
			wantStatus(t, "the page", s.Get(t, s.URL+"/watch/cats", ""), http.StatusOK)
			wantStatus(t, "a broadcaster with a new name", s.Request(t, http.MethodPost, s.WHIP("own"), s.Admin,
				"application/sdp", "v=0\r\n"), http.StatusServiceUnavailable)
			wantStatus(t, "the list", s.Get(t, s.URL+"/api/streams", ""), http.StatusOK)
		})
	}
}
