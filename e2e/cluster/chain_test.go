package cluster

import (
	"net/http"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// TestChain has a stream pass an edge on its way to another, and no further.
func TestChain(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	middle := node(t, "middle", secret, below(origin.URL))
	end := node(t, "end", secret, below(middle.URL))
	beyond := node(t, "beyond", secret, below(end.URL))
	b := harness.GoLive(t, origin)
	v := end.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent() + 25)
	if err := v.CheckContinuous(); err != nil && ended(middle, end) == 0 {
		t.Error(err)
	}
	other := middle.Watch(t, harness.Cats)
	other.WaitFrame(b.Sent())
	harness.Eventually(t, "the origin counts the whole tree", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 2
	})
	if n := lines(origin, "child connected"); n < 1 || n > 1+ended(middle, end) {
		t.Errorf("the origin has %d children", n)
	}
	wantStatus(t, "a fourth server", answered(t, beyond, harness.Cats, ""), http.StatusLoopDetected)
	// It is sent on to the parent, which looks at the offer.
	wantStatus(t, "a broadcaster at an edge", middle.Request(t, http.MethodPost, middle.WHIP(harness.Cats), middle.Admin,
		"application/sdp", "v=0\r\n"), http.StatusBadRequest)
	v.Leave()
	harness.Eventually(t, "who has left is not counted any more", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 1
	})
}

// TestCircles: a server that is its own parent, and two that are each other's, say so and do nothing else.
func TestCircles(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	at := func(address string) func(*server.Config) { return func(c *server.Config) { c.Listen = address } }
	own, left, right := testutil.FreeAddress(t), testutil.FreeAddress(t), testutil.FreeAddress(t)
	for _, s := range []*harness.Server{
		node(t, "own", secret, at(own), below("http://"+own)),
		node(t, "left", secret, at(left), below("http://"+right)),
		node(t, "right", secret, at(right), below("http://"+left)),
	} {
		wantStatus(t, s.Config.Node, answered(t, s, harness.Cats, ""), http.StatusLoopDetected)
		if lines(s, "cannot get streams") == 0 {
			t.Errorf("%s does not say so", s.Config.Node)
		}
	}
}

// TestNoOtherServer: whoever is no server gets nothing by saying so.
func TestNoOtherServer(t *testing.T) {
	t.Parallel()
	origin := node(t, "origin", secretFile(t))
	b := harness.GoLive(t, origin)
	b.WaitSent(1)
	ask := func(way, token string) *http.Response {
		t.Helper()
		req, err := http.NewRequest(http.MethodGet, origin.URL+"/api/streams/cats", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Siaran-Path", way)
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	if res := ask("edge", origin.Admin); res.StatusCode != 200 || res.Header.Get("Siaran-Node") != "" {
		t.Errorf("an administrator: %v", res)
	}
	if res := ask("edge", origin.Token(t, "cats", access.Relay)); res.Header.Get("Siaran-Node") != "origin" {
		t.Errorf("a server: %v", res)
	}
	for _, way := range []string{",", strings.Repeat("a", 5000), "a, b, c, d, e"} {
		if res := ask(way, ""); res.StatusCode != http.StatusBadRequest {
			t.Errorf("%.20q: %v", way, res.Status)
		}
	}
	relay := origin.Token(t, "cats", access.Relay)
	for _, tt := range []struct{ method, path string }{
		{http.MethodPost, "/whip/cats"}, {http.MethodPatch, "/api/streams/cats"}, {http.MethodPost, "/api/streams/cats/keys"},
		{http.MethodDelete, "/api/streams/cats/broadcast"}, {http.MethodGet, "/api/streams/cats/viewers"},
		{http.MethodGet, "/api/streams/cats/health"}, {http.MethodDelete, "/api/streams/cats"},
	} {
		if status := origin.Call(t, tt.method, tt.path, relay, "{}"); status != http.StatusForbidden {
			t.Errorf("%s %s with a relay's token: %d", tt.method, tt.path, status)
		}
	}
}
