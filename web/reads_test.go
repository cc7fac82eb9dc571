package web

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"siaran"
	"siaran/web/access"
)

// dear is a listing in which reading costs, and that recalls what the test tells it to.
type dear struct {
	siaran.Listing
	reads    *atomic.Int64
	recalled *sync.Map // names to streams, or to nil where there is none
}

func (d dear) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	d.reads.Add(1)
	return d.Listing.Stream(ctx, name)
}

func (d dear) Recall(name siaran.StreamName) (siaran.Stream, bool, bool) {
	v, ok := d.recalled.Load(name)
	stream, there := v.(siaran.Stream)
	return stream, there, ok
}

// startDear runs a server for which reading is dear, with limits that are used up soon and do not come back within a test.
func startDear(t *testing.T) (*site, dear) {
	d := dear{reads: new(atomic.Int64), recalled: new(sync.Map)}
	s := start(t, func(c *Config) {
		c.ICEServers = func(siaran.SessionID, string) []ICEServer { return nil }
		d.Listing = c.Listing
		c.Listing, c.Tokens = d, accounts{c.Secret}
		c.Limits.Reader, c.Limits.Readers, c.Limits.Account = Rate{1e-9, 12}, Rate{1e-9, 16}, Rate{1e-9, 103}
	})
	return s, d
}

// TestReadsForStrangersAreBounded: names made up cost the owner little, in whatever way they are asked for, and disturb nobody else.
func TestReadsForStrangersAreBounded(t *testing.T) {
	s, d := startDear(t)
	s.live("cats")
	s.must2(s.listing.Edit(t.Context(), "dogs", siaran.StreamEdit{Title: new("Dogs")}))
	d.reads.Store(0)
	n := 0
	name := func() string { n++; return fmt.Sprint("made-up-", n) }
	sdp := []string{"Content-Type", "application/sdp"}
	ask := func() []call {
		return []call{
			{method: "GET", path: "/api/streams/" + name()},
			{method: "GET", path: "/api/streams/" + name() + "/keyframe"},
			{method: "GET", path: "/api/streams/" + name() + "/viewers"},
			{method: "HEAD", path: "/api/streams/events?stream=" + name()},
			call{method: "PATCH", path: "/api/streams/" + name(), body: "{}"}.with("Content-Type", "application/json"),
			call{method: "POST", path: "/whep/" + name(), body: offer(t, "whep-chromium")}.with(sdp...),
			call{method: "POST", path: "/whip/" + name(), body: "v=0"}.with(sdp...),
			{method: "OPTIONS", path: "/whep/" + name()},
			{method: "GET", path: "/watch/" + name()},
		}
	}
	for _, token := range []string{"", "undefined", s.publisher("cats"), s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}, KeyGeneration: 7})} {
		for range 5 {
			for _, c := range ask() {
				c.token = token
				if r := s.do(c); r.StatusCode >= 500 {
					t.Errorf("%s %s: %d %s", c.method, c.path, r.StatusCode, r.body)
				}
			}
		}
	}
	if got := d.reads.Load(); got != 12 {
		t.Errorf("%d reads for one address, want as many as it may have", got)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/dogs"}), 429)

	// Whoever watches what is live here, has a key, or asks for what is known, is served all the same.
	for path, token := range map[string]string{"/api/streams/cats": "", "/api/streams/cats/keyframe": "", "/api/streams/dogs": s.publisher("dogs"), "/api/streams/dogs/viewers": s.admin} {
		if r := s.do(call{method: "GET", path: path, token: token}); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	v := s.viewer()
	v.mustOpen("/whep/cats", "")
	p := s.broadcaster()
	p.mustOpen("/whip/"+name(), s.admin)
	p = s.broadcaster()
	p.mustOpen("/whip/"+name(), "account:ana:1")
	d.recalled.Store(siaran.StreamName("known"), siaran.Stream{Name: "known", Title: "Known", Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline})
	d.recalled.Store(siaran.StreamName("gone"), nil)
	before := d.reads.Load()
	link := func(generation int) string {
		return s.token(access.Claims{Stream: "known", Scopes: []access.Scope{access.Watch}, KeyGeneration: generation})
	}
	for _, tt := range []struct {
		path, token string
		want        int
	}{{"/api/streams/known", "", 200}, {"/api/streams/known", link(0), 200}, {"/api/streams/gone", "", 404}} {
		if r := s.do(call{method: "GET", path: tt.path, token: tt.token}); r.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.path, r.StatusCode, tt.want)
		}
	}
	if got := d.reads.Load(); got != before {
		t.Errorf("%d reads of what was known", got-before)
	}
	s.do(call{method: "GET", path: "/api/streams/known", token: link(1)})
	if got := d.reads.Load(); got != before+1 {
		t.Errorf("%d reads for a key that may be newer than what is recalled, want one", got-before)
	}
}

// TestReadsForAccountsAreBounded: an account costs nothing to make.
func TestReadsForAccountsAreBounded(t *testing.T) {
	s, d := startDear(t)
	get := func(path string) int {
		return s.do(call{method: "GET", path: path, token: "account:ana:1"}).StatusCode
	}
	for range 3 {
		if status := get("/api/streams/made-up/health"); status != 404 {
			t.Errorf("health: %d", status)
		}
	}
	if status := get("/api/streams?owner=me&status=all"); status != 200 {
		t.Errorf("its own: %d", status)
	}
	before := d.reads.Load()
	for _, path := range []string{"/api/streams/made-up/health", "/api/streams?owner=me&status=all"} {
		if status := get(path); status != 429 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := get("/api/streams?owner=me"); status != 200 {
		t.Errorf("its own that are live: %d", status)
	}
	if got := d.reads.Load(); got != before {
		t.Errorf("%d more reads", got-before)
	}
}
