package whip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"siaran/internal/signalling"
)

// serve answers with handlers for "METHOD /path", and 404 for the rest.
func serve(t *testing.T, handlers map[string]http.HandlerFunc) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range handlers {
		mux.HandleFunc(pattern, h)
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

// TestUnusableAnswer checks that the session that the server has created is ended.
func TestUnusableAnswer(t *testing.T) {
	var deleted atomic.Int32
	s := serve(t, map[string]http.HandlerFunc{
		"POST /whip": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/sdp")
			w.Header().Set("Location", "/session")
			w.WriteHeader(http.StatusCreated)
			fmt.Fprint(w, "this is not SDP")
		},
		"DELETE /session": func(http.ResponseWriter, *http.Request) { deleted.Add(1) },
	})
	if _, err := Dial(t.Context(), Config{URL: s.URL + "/whip"}); err == nil || deleted.Load() != 1 {
		t.Errorf("%d sessions deleted: %v", deleted.Load(), err)
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	for _, test := range []struct {
		code       int
		path, want string
	}{
		{http.StatusUnauthorized, "/whip/cats", "--token"},
		{http.StatusForbidden, "/whip/cats", "another stream"},
		{http.StatusNotFound, "/whip/Cats", "/whip/cats"},
		{http.StatusMethodNotAllowed, "/watch/cats", "/whip/cats"},
		{http.StatusConflict, "/whip/cats", "taken"},
		{http.StatusConflict, "/whep/cats", "to broadcast, use /whip/"},
	} {
		s := serve(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(test.code)
			io.WriteString(w, `{"detail":"taken"}`)
		}})
		_, err := Dial(t.Context(), Config{URL: s.URL + test.path})
		var refusal *signalling.Error
		if !errors.As(err, &refusal) || refusal.Code != test.code || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d for %s: %v, want %q in it", test.code, test.path, err, test.want)
		}
	}
}

// TestPublishTriesAgain checks that Publish tries again with growing pauses while that may help, and not after a final
// refusal.
func TestPublishTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		client := &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			tries++
			res := httptest.NewRecorder()
			if tries < 6 {
				res.WriteHeader(http.StatusServiceUnavailable)
			} else {
				res.WriteHeader(http.StatusConflict)
			}
			return res.Result(), nil
		})}
		cfg := Config{URL: "http://host/whip/cats", Client: client}
		logger := slog.New(slog.DiscardHandler)
		began := time.Now()
		err := Publish(t.Context(), cfg, false, logger, func(context.Context, *Session) error { return nil })
		var refusal *signalling.Error
		if !errors.As(err, &refusal) || refusal.Code != http.StatusConflict || tries != 6 {
			t.Errorf("%d tries: %v", tries, err)
		}
		if took := time.Since(began); took < 7*time.Second || took > 25*time.Second {
			t.Errorf("six tries took %s", took)
		}
		tries = 0
		if err := Publish(t.Context(), cfg, true, logger, nil); err == nil || tries != 1 {
			t.Errorf("once: %d tries, %v", tries, err)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
