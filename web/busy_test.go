package web

import (
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"siaran"
	"siaran/internal/load"
)

// TestBusy: while the server has too much to do, new viewers are told why and when to come again, or sent to another
// server; whoever is here goes on, and broadcasters and other servers come in, these until it is worse.
func TestBusy(t *testing.T) {
	t.Parallel()
	var state atomic.Pointer[load.State]
	state.Store(&load.State{})
	choice := Choice{Here: true}
	r := restartOn(t, "whep", func(c *Config) {
		c.Load = func() load.State { return *state.Load() }
		c.Place = func(Visit) Choice { return choice }
	})
	s := r.site
	open := func(token string, headers ...string) reply {
		c := call{method: "POST", path: "/whep/cats", token: token, body: offer(t, "whep-chromium")}.with(sdpBody...)
		return s.do(c.with(headers...))
	}
	relay, err := s.secret.MintRelay("cats", "edge")
	s.must(err)
	child := func() reply { return open(relay, "Siaran-Path", "edge") }

	state.Store(&load.State{Use: 1, Viewers: load.Late})
	refused := open("")
	p := wantProblem(t, refused, 503)
	if p.Code != "busy" || !strings.Contains(p.Detail, "too little time") {
		t.Errorf("%+v", p)
	}
	if after, err := strconv.Atoi(refused.Header.Get("Retry-After")); err != nil || after < leastBusy || after > mostBusy {
		t.Errorf("Retry-After %q", refused.Header.Get("Retry-After"))
	}
	if got := s.do(call{method: "GET", path: "/readyz"}); got.StatusCode != 200 ||
		!strings.Contains(got.body, `"closed":"late"`) {
		t.Errorf("readyz: %d %s", got.StatusCode, got.body)
	}
	if got := child(); got.StatusCode != 201 {
		t.Errorf("a server that pulls: %d %s", got.StatusCode, got.body)
	}
	if status := r.send(t, r.tag, "new"); status != 200 {
		t.Errorf("a viewer who is here restarts ICE: %d", status)
	}
	birds := s.broadcaster()
	birds.mustOpen("/whip/birds", s.publisher("birds"))
	choice = Choice{To: siaran.Node{Name: "there", URL: "https://two.example"}}
	if got := open(""); got.StatusCode != 307 {
		t.Errorf("while another server has room: %d", got.StatusCode)
	}
	choice = Choice{RetryAfter: 3}
	if p := wantProblem(t, open(""), 503); p.Code != "busy" {
		t.Errorf("while none has: %+v", p)
	}
	choice = Choice{Here: true}

	state.Store(&load.State{Use: 1, Viewers: load.Processor, Children: load.Processor})
	if p := wantProblem(t, child(), 503); p.Code != "busy" {
		t.Errorf("a server that pulls: %+v", p)
	}
	wantProblem(t, open(""), 503)
	got := s.server.Stats().TooBusy
	if got["viewer"]["late"] != 2 || got["viewer"]["processor"] != 1 || got["server"]["processor"] != 1 {
		t.Errorf("counted %v", got)
	}
	var o adminOverview
	s.get("/api/admin", s.admin, &o)
	if len(o.Nodes) != 1 || o.Nodes[0].Use != 1 || o.Nodes[0].Closed != load.Processor {
		t.Errorf("%+v", o.Nodes)
	}

	state.Store(&load.State{Use: 0.5})
	if got := open(""); got.StatusCode != 201 {
		t.Errorf("when it is over: %d %s", got.StatusCode, got.body)
	}
}
