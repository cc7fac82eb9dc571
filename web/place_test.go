package web

import (
	"net/http"
	"strings"
	"testing"

	"siaran"
)

// TestPlace: what the cluster chooses is what the viewer gets, and it is told what it needs to choose.
func TestPlace(t *testing.T) {
	t.Parallel()
	var visit Visit
	var choice Choice
	s := start(t, func(c *Config) {
		c.BaseURL = "https://one.example"
		c.Place = func(v Visit) Choice { visit = v; return choice }
	})
	there := siaran.Node{Name: "there", URL: "https://two.example"}
	s.liveAt("cats", there)
	post := func(path string, headers ...string) reply {
		c := call{method: "POST", path: path, body: "v=0"}.with(sdpBody...)
		return s.do(c.with(headers...))
	}

	choice = Choice{To: siaran.Node{Name: "three", URL: "https://three.example"}}
	for _, tc := range []struct {
		name, path, want string
		headers          []string
		hops             int
		stay             bool
	}{
		{"a viewer", "/whep/cats?x=1", "https://three.example/whep/cats?x=1&redirected=1", nil, 0, false},
		{"one who was sent here", "/whep/cats?redirected=1&x=1", "https://three.example/whep/cats?x=1&redirected=2", nil, 1,
			false},
		{"one who was sent here twice", "/whep/cats?redirected=2", "https://three.example/whep/cats?redirected=3", nil, 2,
			false},
		{"a page of ours", "/whep/cats", "https://three.example/whep/cats?redirected=1",
			[]string{"Origin", s.url}, 0, true},
		{"a page of ours behind a proxy", "/whep/cats", "https://three.example/whep/cats?redirected=1",
			[]string{"Origin", "https://one.example"}, 0, true},
		{"a page of others", "/whep/cats", "https://three.example/whep/cats?redirected=1",
			[]string{"Origin", "https://blog.example"}, 0, false},
	} {
		r := post(tc.path, tc.headers...)
		if r.StatusCode != http.StatusTemporaryRedirect || r.Header.Get("Location") != tc.want {
			t.Errorf("%s: %d to %q, want %q", tc.name, r.StatusCode, r.Header.Get("Location"), tc.want)
		}
		if visit.Hops != tc.hops || visit.Stay != tc.stay || visit.Here || visit.Stream.Node != "there" {
			t.Errorf("%s: %+v", tc.name, visit)
		}
	}
	for _, forged := range []string{"0", "-1", "", "x", "99999999999999999999"} {
		if post("/whep/cats?redirected=" + forged); visit.Hops < 2 {
			t.Errorf("redirected=%s counts as %d", forged, visit.Hops)
		}
	}
	page := s.do(call{method: "GET", path: "/watch/cats"})
	if got := page.Header.Get("Location"); got != "https://three.example/watch/cats?redirected=1" {
		t.Errorf("the page: %d to %q", page.StatusCode, got)
	}

	choice = Choice{RetryAfter: 7}
	if p := wantProblem(t, post("/whep/cats"), 503); p.Code != "full" {
		t.Errorf("%+v", p)
	}
	if r := post("/whep/cats"); r.Header.Get("Retry-After") != "7" {
		t.Errorf("come again after %q", r.Header.Get("Retry-After"))
	}
	page = s.do(call{method: "GET", path: "/watch/cats"})
	if page.StatusCode != 200 || !strings.Contains(page.body, "siaran-player") {
		t.Errorf("the page when there is no room: %d", page.StatusCode)
	}

	choice = Choice{To: siaran.Node{Name: "three", URL: "https://three.example"}}
	visit = Visit{}
	if post("/whep/cats", "Siaran-Path", "origin"); visit.Stream.Name != "" {
		t.Error("a place is chosen for another server")
	}
	if post("/whep/birds"); visit.Stream.Name != "" {
		t.Error("a place is chosen for what is not live")
	}
	n := s.server.Stats().Placements
	if n[placedElsewhere] < 6 || n[placedNowhere] != 2 || n[placedHere] != 0 {
		t.Errorf("%v", n)
	}
}
