package web

import (
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"testing"

	"siaran/internal/testutil"
	"siaran/web/access"
)

// doLate is do for a request whose body comes late: after meanwhile, which is called when the server begins to read it.
func (s *site) doLate(c call, meanwhile func()) (status int) {
	s.t.Helper()
	transport := &http.Transport{ExpectContinueTimeout: testutil.Patience}
	defer transport.CloseIdleConnections()
	body, write := io.Pipe()
	defer body.Close()
	reading := make(chan struct{})
	ctx := httptrace.WithClientTrace(s.t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reading) }})
	req, err := http.NewRequestWithContext(ctx, c.method, s.url+c.path, body)
	s.must(err)
	req.Header.Set("Expect", "100-continue")
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+c.token)
	go func() {
		select {
		case <-reading:
			meanwhile()
		case <-ctx.Done():
		}
		_, _ = io.Copy(write, strings.NewReader(c.body)) // fails if the server has answered before
		_ = write.Close()
	}()
	r, err := transport.RoundTrip(req)
	s.must(err)
	defer r.Body.Close()
	return r.StatusCode
}

// TestRightsWithdrawnBeforeTheBody: whoever holds a request back until a token is revoked gains nothing by it, least of
// all a new token.
func TestRightsWithdrawnBeforeTheBody(t *testing.T) {
	t.Parallel()
	drainer := &emptying{}
	s := start(t, func(c *Config) { c.Drainer = drainer })
	stolen := s.publisher("cats")
	renew := func() {
		if _, err := s.listing.RotateKeys(t.Context(), "cats"); err != nil {
			t.Error(err)
		}
	}
	for _, c := range []call{
		{method: "POST", path: "/api/streams/cats/keys", body: `{"scope":"publish"}`},
		{method: "PATCH", path: "/api/streams/cats", body: `{"title":"mine"}`},
	} {
		c.token = stolen
		if status := s.doLate(c, renew); status != http.StatusUnauthorized {
			t.Errorf("%s %s: %d", c.method, c.path, status)
		}
		stream, err := s.listing.Stream(t.Context(), "cats")
		s.must(err)
		stolen = s.token(access.Claims{
			Stream: "cats", Scopes: []access.Scope{access.Publish}, KeyGeneration: stream.KeyGeneration,
		})
		if stream.Title != "" {
			t.Errorf("the title is %q", stream.Title)
		}
	}
	drain := call{method: "POST", path: "/api/drain", body: `{"seconds":1}`, token: s.admin}
	status := s.doLate(drain, func() {
		if _, err := s.secret.RevokeAll(); err != nil {
			t.Error(err)
		}
	})
	if status != http.StatusUnauthorized || drainer.Draining() {
		t.Errorf("a drain: %d", status)
	}
}
