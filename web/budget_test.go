package web

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"siaran"
	"siaran/web/access"
)

// metered is a listing in which reads cost money. It knows nothing from memory.
type metered struct {
	siaran.Listing
	reads *atomic.Int64
}

func (m metered) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	m.reads.Add(1)
	return m.Listing.Stream(ctx, name)
}

func (m metered) RecallLive(siaran.StreamName) (siaran.Stream, bool) { return siaran.Stream{}, false }

func (m metered) RecallAllLive() ([]siaran.Stream, bool) { return nil, false }

// startMetered runs a server whose reads cost money, with limits that are soon used up and do not recover within a
// test.
func startMetered(t *testing.T) (*site, metered) {
	m := metered{reads: new(atomic.Int64)}
	idle := func(s *Server) { s.lookEvery = time.Hour } // which reads too
	s := startTweaked(t, idle, func(c *Config) {
		c.ICEServers = func(siaran.SessionID, string) []ICEServer { return nil }
		m.Listing = c.Listing
		c.Listing, c.Tokens = m, accounts{c.Secret}
		c.Limits.Reader, c.Limits.Readers, c.Limits.Account = Rate{1e-9, 12}, Rate{1e-9, 16}, Rate{1e-9, 103}
	})
	return s, m
}

// TestReadsForStrangersAreBounded: made-up names cost the owner little, however they are asked for, and disturb nobody
// else.
func TestReadsForStrangersAreBounded(t *testing.T) {
	t.Parallel()
	s, m := startMetered(t)
	s.live("cats")
	s.must2(s.listing.Edit(t.Context(), "dogs", siaran.StreamEdit{Title: new("Dogs")}))
	m.reads.Store(0)
	n := 0
	name := func() string { n++; return fmt.Sprint("made-up-", n) }
	ask := func() []call {
		return []call{
			{method: "GET", path: "/api/streams/" + name()},
			{method: "GET", path: "/api/streams/" + name() + "/keyframe"},
			{method: "GET", path: "/api/streams/" + name() + "/viewers"},
			{method: "HEAD", path: "/api/streams/events?stream=" + name()},
			call{method: "PATCH", path: "/api/streams/" + name(), body: "{}"}.with("Content-Type", "application/json"),
			call{method: "POST", path: "/whep/" + name(), body: offer(t, "whep-chromium")}.with(sdpBody...),
			call{method: "POST", path: "/whip/" + name(), body: "v=0"}.with(sdpBody...),
			{method: "OPTIONS", path: "/whep/" + name()},
			{method: "GET", path: "/watch/" + name()},
		}
	}
	for _, token := range []string{"", "undefined", s.publisher("cats"),
		s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}, KeyGeneration: 7})} {
		for range 5 {
			for _, c := range ask() {
				c.token = token
				if r := s.do(c); r.StatusCode >= 500 {
					t.Errorf("%s %s: %d %s", c.method, c.path, r.StatusCode, r.body)
				}
			}
		}
	}
	if got := m.reads.Load(); got != 12 {
		t.Errorf("%d reads for one address, want as many as it may have", got)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/dogs"}), 429)

	// Whoever watches what is live here, has a key, or asks for what is known, is served all the same.
	for path, token := range map[string]string{"/api/streams/cats": "", "/api/streams/cats/keyframe": "",
		"/api/streams/dogs": s.publisher("dogs"), "/api/streams/dogs/viewers": s.admin} {
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
	s.edit("known", siaran.StreamEdit{Title: new("Known")})
	for _, name := range []string{"known", "gone"} { // somebody with a key has it read
		s.do(call{method: "GET", path: "/api/streams/" + name, token: s.admin})
	}
	before := m.reads.Load()
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
	if got := m.reads.Load(); got != before {
		t.Errorf("%d reads of what was known", got-before)
	}
	s.do(call{method: "GET", path: "/api/streams/known", token: link(1)})
	if got := m.reads.Load(); got != before+1 {
		t.Errorf("%d reads for a key that may be newer than the cached answer, want one", got-before)
	}
}

// TestReadsForAccountsAreBounded: an account costs nothing to make.
func TestReadsForAccountsAreBounded(t *testing.T) {
	t.Parallel()
	s, m := startMetered(t)
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
	before := m.reads.Load()
	for _, path := range []string{"/api/streams/made-up/health", "/api/streams?owner=me&status=all"} {
		if status := get(path); status != 429 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status := get("/api/streams?owner=me"); status != 200 {
		t.Errorf("its own that are live: %d", status)
	}
	if got := m.reads.Load(); got != before {
		t.Errorf("%d more reads", got-before)
	}
}
