package signalling

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
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

// echo answers 201 with the token, the content type and the body of the request.
func echo(location string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/sdp")
		w.Header().Set("Location", location)
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s %s", r.Header.Get("Authorization"), r.Header.Get("Content-Type"), body)
	}
}

func TestPostAndDelete(t *testing.T) {
	var deleted atomic.Int32
	s := serve(t, map[string]http.HandlerFunc{
		"POST /whip/cats": echo("session/1?x=y"), // relative to the endpoint
		"DELETE /whip/session/1": func(_ http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") == "Bearer secret" && r.URL.RawQuery == "x=y" {
				deleted.Add(1)
			}
		},
	})
	c := New(nil, "secret")
	session, err := c.Post(t.Context(), parseURL(t, s.URL+"/whip/cats"), "the offer")
	if err != nil {
		t.Fatal(err)
	}
	if session.Answer != "Bearer secret application/sdp the offer" || session.URL.String() != s.URL+"/whip/session/1?x=y" {
		t.Errorf("answer %q, session %s", session.Answer, session.URL)
	}
	if err := c.Delete(t.Context(), session.URL); err != nil || deleted.Load() != 1 {
		t.Errorf("%d sessions deleted: %v", deleted.Load(), err)
	}
	if err := c.Delete(t.Context(), parseURL(t, s.URL+"/gone")); err != nil {
		t.Errorf("delete a session that is gone: %v", err)
	}
}

func TestRedirects(t *testing.T) {
	other := serve(t, map[string]http.HandlerFunc{"POST /there": echo("/session")})
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
	c := New(nil, "secret")
	for path, good := range map[string]bool{
		"/once": true, "/twice": true, "/circle": false, "/see": false, "/out": false,
	} {
		session, err := c.Post(t.Context(), parseURL(t, s.URL+path), "the offer")
		switch {
		case !good && err == nil:
			t.Errorf("POST %s: no error", path)
		case good && err != nil:
			t.Errorf("POST %s: %v", path, err)
		case good && session.Answer != "Bearer secret application/sdp the offer":
			t.Errorf("POST %s: answer %q", path, session.Answer)
		case good && session.URL.String() != other.URL+"/session":
			t.Errorf("POST %s: session %s", path, session.URL)
		}
	}
}

// TestTokenIsNotSentInTheClear when a server with HTTPS names an address of HTTP; without one nothing can be read.
func TestTokenIsNotSentInTheClear(t *testing.T) {
	plain := serve(t, map[string]http.HandlerFunc{"POST /there": echo("/session")})
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/there", http.StatusTemporaryRedirect))
	t.Cleanup(secure.Close)
	_, err := New(secure.Client(), "secret").Post(t.Context(), parseURL(t, secure.URL), "x")
	if err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("with a token: %v", err)
	}
	if _, err := New(secure.Client(), "").Post(t.Context(), parseURL(t, secure.URL), "x"); err != nil {
		t.Errorf("without a token: %v", err)
	}
	there := httptest.NewTLSServer(echo(plain.URL + "/session"))
	t.Cleanup(there.Close)
	_, err = New(there.Client(), "secret").Post(t.Context(), parseURL(t, there.URL), "x")
	if err == nil || !strings.Contains(err.Error(), "plain HTTP") {
		t.Errorf("with a session that is there: %v", err)
	}
	if _, err := New(there.Client(), "").Post(t.Context(), parseURL(t, there.URL), "x"); err != nil {
		t.Errorf("with a session that is there, without a token: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	for _, test := range []struct {
		code              int
		contentType, body string
		want              string
		temporary         bool
	}{
		{401, "application/problem+json", `{"title":"Unauthorized","detail":"a token is needed"}`,
			"the server says 401 (unauthorized): a token is needed", false},
		{403, "application/problem+json", `{"title":"No"}`, "the server says 403 (forbidden): No", false},
		{404, "text/html", "<html>", "the server says 404 (not found)", false},
		{409, "application/json", `{"error":"taken"}`, "the server says 409 (conflict): taken", false},
		{503, "text/plain; charset=utf-8", "come back\nlater", "the server says 503 (service unavailable): come back", true},
		{429, "", "", "the server says 429 (too many requests)", true},
		{500, "application/problem+json", `{"detail": 3}`, "the server says 500 (internal server error)", true},
		{400, "text/plain", "\x1b[31mred\x1b[0m", "the server says 400 (bad request): [31mred[0m", false},
		{599, "", "", "the server says 599", true},
	} {
		s := serve(t, map[string]http.HandlerFunc{"/": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", test.contentType)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(test.code)
			io.WriteString(w, test.body)
		}})
		_, err := New(nil, "").Post(t.Context(), parseURL(t, s.URL), "x")
		var refusal *Error
		if !errors.As(err, &refusal) {
			t.Errorf("%d: not an *Error: %v", test.code, err)
			continue
		}
		if err.Error() != test.want || refusal.Temporary() != test.temporary || refusal.RetryAfter != 7*time.Second {
			t.Errorf("%d: %q, temporary %t, retry after %s", test.code, err, refusal.Temporary(), refusal.RetryAfter)
		}
	}
}

func TestResponsesThatAreNotOfAnEndpoint(t *testing.T) {
	reply := func(code int, contentType, location string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", contentType)
			if location != "" {
				w.Header().Set("Location", location)
			}
			w.WriteHeader(code)
		}
	}
	s := serve(t, map[string]http.HandlerFunc{
		"POST /nowhere": reply(http.StatusCreated, "application/sdp", ""),
		"POST /page":    reply(http.StatusCreated, "text/html", "/x"),
		"POST /ok":      reply(http.StatusOK, "application/sdp", "/x"),
		"POST /home":    reply(http.StatusOK, "text/html", ""),
		"POST /long":    func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxBody+1)) },
	})
	lenient := New(nil, "")
	lenient.Lenient = true
	for path, acceptable := range map[string]bool{
		"/nowhere": false, "/page": true, "/ok": true, "/home": false, "/long": false,
	} {
		if _, err := New(nil, "").Post(t.Context(), parseURL(t, s.URL+path), "x"); err == nil {
			t.Errorf("%s: accepted", path)
		}
		if _, err := lenient.Post(t.Context(), parseURL(t, s.URL+path), "x"); (err == nil) != acceptable {
			t.Errorf("%s, by a lenient client: %v", path, err)
		}
	}
}

func TestErrorsDoNotRepeatTheSecretURL(t *testing.T) {
	err := New(nil, "").Delete(t.Context(), parseURL(t, "http://127.0.0.1:1/whip/cats/SECRET"))
	if err == nil || strings.Contains(err.Error(), "SECRET") {
		t.Error(err)
	}
}

// FuzzError reads refusals of any kind: what is shown of them is short and fit for a terminal.
func FuzzError(f *testing.F) {
	f.Add("application/problem+json", []byte(`{"title":"Conflict","detail":"the stream is live already"}`))
	f.Add("application/json", []byte(`{"error":"\u001b[31m"}`))
	f.Add("text/plain", []byte("no\nway"))
	f.Add("text/plain; charset=", []byte("\x9b31m"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		e := newError(&http.Response{StatusCode: 400, Header: http.Header{"Content-Type": {contentType}}}, body)
		if len(e.Detail) > maxDetail || strings.ContainsFunc(e.Detail, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			t.Errorf("%q", e.Detail)
		}
	})
}
