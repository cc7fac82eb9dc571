package whip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
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

func parseURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func answer(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
	}
}

func TestPostAndRemove(t *testing.T) {
	var removed atomic.Int32
	s := serve(t, map[string]http.HandlerFunc{
		"POST /whip/cats": answer("session/1?x=y"), // relative to the endpoint
		"DELETE /whip/session/1": func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer secret" && r.URL.RawQuery == "x=y" {
				removed.Add(1)
			}
		},
	})
	c := newSignaller(nil, "secret")
	text, session, err := c.post(t.Context(), parseURL(t, s.URL+"/whip/cats"), "the offer")
	if err != nil || text != "Bearer secret application/sdp the offer" || session.String() != s.URL+"/whip/session/1?x=y" {
		t.Fatalf("%q %s %v", text, session, err)
	}
	if err := c.remove(t.Context(), session); err != nil || removed.Load() != 1 {
		t.Error(err)
	}
	if err := c.remove(t.Context(), parseURL(t, s.URL+"/gone")); err != nil {
		t.Errorf("a session that is gone: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	other := serve(t, map[string]http.HandlerFunc{"POST /there": answer("/session")})
	redirect := func(code int, to string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", to)
			w.WriteHeader(code)
		}
	}
	s := serve(t, map[string]http.HandlerFunc{
		"POST /once":   redirect(http.StatusTemporaryRedirect, other.URL+"/there"),
		"POST /twice":  redirect(http.StatusPermanentRedirect, "/once"),
		"POST /circle": redirect(http.StatusTemporaryRedirect, "/circle"),
		"POST /see":    redirect(http.StatusSeeOther, other.URL+"/there"),
		"POST /out":    redirect(http.StatusTemporaryRedirect, "file:///etc/passwd"),
	})
	c := newSignaller(nil, "secret")
	for path, good := range map[string]bool{"/once": true, "/twice": true, "/circle": false, "/see": false, "/out": false} {
		text, session, err := c.post(t.Context(), parseURL(t, s.URL+path), "the offer")
		if good && (err != nil || text != "Bearer secret application/sdp the offer" || session.String() != other.URL+"/session") || !good && err == nil {
			t.Errorf("%s: %q %s %v", path, text, session, err)
		}
	}
	secure := httptest.NewTLSServer(redirect(http.StatusTemporaryRedirect, other.URL+"/there"))
	defer secure.Close()
	if _, _, err := newSignaller(secure.Client(), "secret").post(t.Context(), parseURL(t, secure.URL), "x"); err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("from HTTPS to HTTP: %v", err)
	}
}

func TestRefusalsAreToldInPlainWords(t *testing.T) {
	for _, test := range []struct {
		code              int
		contentType, body string
		says              []string
		temporary         bool
	}{
		{401, "application/problem+json", `{"title":"Unauthorized","detail":"a token is needed"}`, []string{"401", "a token is needed", "--token"}, false},
		{403, "application/problem+json", `{"title":"Forbidden"}`, []string{"403", "another stream"}, false},
		{404, "text/html", "<html>", []string{"404", "/whip/cats"}, false},
		{409, "application/json", `{"error":"taken"}`, []string{"taken"}, false},
		{503, "text/plain; charset=utf-8", "come back\nlater", []string{"503", "come back"}, true},
		{429, "", "", []string{"too many requests"}, true},
		{500, "application/problem+json", `{"detail": 3}`, []string{"500"}, true},
		{400, "text/plain", "\x1b[31mred\x1b[0m", []string{"[31mred"}, false},
	} {
		s := serve(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.contentType)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(test.code)
			io.WriteString(w, test.body)
		}})
		_, _, err := newSignaller(nil, "").post(t.Context(), parseURL(t, s.URL), "x")
		refused := (*ServerError)(nil)
		if !errors.As(err, &refused) || refused.Temporary() != test.temporary || refused.RetryAfter != 7*time.Second || strings.Contains(err.Error(), "\x1b") {
			t.Errorf("%d: %#v", test.code, err)
			continue
		}
		for _, word := range test.says {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is missing in %q", word, err)
			}
		}
	}
}

func TestAnswersThatCannotBe(t *testing.T) {
	s := serve(t, map[string]http.HandlerFunc{
		"POST /nowhere": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/sdp")
			w.WriteHeader(http.StatusCreated)
		},
		"POST /page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/x")
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusCreated)
		},
		"POST /long": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) },
		"POST /junk": func(w http.ResponseWriter, r *http.Request) { answer("/session")(w, r) },
	})
	for _, path := range []string{"/nowhere", "/page", "/long"} {
		if _, _, err := newSignaller(nil, "").post(t.Context(), parseURL(t, s.URL+path), "x"); err == nil {
			t.Errorf("%s is taken", path)
		}
	}
	// An answer that is no SDP: the session that the server has made is taken down.
	if _, err := Dial(t.Context(), Config{URL: s.URL + "/junk"}); err == nil {
		t.Error("junk is taken")
	}
}

// TestSecretsStayOutOfErrors: the URL of a session is one.
func TestSecretsStayOutOfErrors(t *testing.T) {
	err := newSignaller(nil, "").remove(t.Context(), parseURL(t, "http://127.0.0.1:1/whip/cats/SECRET"))
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
}

// TestPublishTriesAgain with growing pauses while there is hope, and not when there is none.
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
		began := time.Now()
		err := Publish(t.Context(), Config{URL: "http://host/whip/cats", Client: client}, false, slog.New(slog.DiscardHandler),
			func(context.Context, *Session) error { return nil })
		refused := (*ServerError)(nil)
		if !errors.As(err, &refused) || refused.Code != http.StatusConflict || tries != 6 {
			t.Errorf("%d tries: %v", tries, err)
		}
		if long := time.Since(began); long < 7*time.Second || long > 25*time.Second {
			t.Errorf("it took %s", long)
		}
		tries = 0
		if err := Publish(t.Context(), Config{URL: "http://host/whip/cats", Client: client}, true, slog.New(slog.DiscardHandler), nil); err == nil || tries != 1 {
			t.Errorf("once: %d tries, %v", tries, err)
		}
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// FuzzServerError reads refusals of any kind: what is shown of them is short and fit for a terminal.
func FuzzServerError(f *testing.F) {
	f.Add("application/problem+json", []byte(`{"title":"Conflict","detail":"the stream is live already"}`))
	f.Add("application/json", []byte(`{"error":"\u001b[31m"}`))
	f.Add("text/plain", []byte("no\nway"))
	f.Add("text/plain; charset=", []byte("\x9b31m"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		e := newServerError(&http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {contentType}}}, body)
		if len(e.Detail) > 300 || strings.ContainsFunc(e.Detail, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", e.Detail)
		}
	})
}
