package web

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/web/access"
)

// TestEmbedSites: a list of sites binds the frame of a public stream, and the players of other sites.
func TestEmbedSites(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.BaseURL = "https://live.example.org" })
	token := s.publisher("cats")
	s.live("cats")
	edit := func(body string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/cats", token: token, body: body}.with("Content-Type",
			"application/json"))
	}
	framers := func() string {
		_, after, _ := strings.Cut(s.do(call{method: "GET", path: "/embed/cats"}).Header.Get("Content-Security-Policy"),
			"frame-ancestors ")
		return after
	}
	watch := func(origin, token string) reply {
		c := call{method: "POST", path: "/whep/cats", token: token, body: offer(t, "whep-chromium")}.with(sdpBody...)
		if origin != "" {
			c = c.with("Origin", origin)
		}
		return s.do(c)
	}
	own := []string{"", s.url, "https://live.example.org", "http://" + strings.TrimPrefix(s.url, "http://")}
	for _, tt := range []struct{ sites, framers, others string }{
		{`["*"]`, "*", "*"},
		{`[]`, "'self'", ""},
		{`["https://example.org", "https://*.example.net"]`, "'self' https://example.org https://*.example.net",
			"https://example.org https://a.example.net"},
	} {
		if r := edit(`{"embedSites": ` + tt.sites + `}`); r.StatusCode != 200 || !strings.Contains(r.body,
			`"embedSites":`+strings.ReplaceAll(tt.sites, " ", "")) {
			t.Fatalf("%s: %d %s", tt.sites, r.StatusCode, r.body)
		}
		if got := framers(); got != tt.framers {
			t.Errorf("%s: frame-ancestors %s", tt.sites, got)
		}
		for _, origin := range own {
			if r := watch(origin, ""); r.StatusCode != 201 {
				t.Errorf("%s: from %q: %d %s", tt.sites, origin, r.StatusCode, r.body)
			}
		}
		for _, origin := range []string{"https://example.org", "https://a.example.net", "https://other.test", "null"} {
			allowed := tt.others == "*" || strings.Contains(tt.others, origin)
			switch r := watch(origin, ""); {
			case allowed && r.StatusCode != 201:
				t.Errorf("%s: from %s: %d %s", tt.sites, origin, r.StatusCode, r.body)
			case !allowed:
				if p := wantProblem(t, r, 403); p.Code != "site" {
					t.Errorf("%s: from %s: %+v", tt.sites, origin, p)
				}
			}
		}
	}
	for _, bad := range []string{`["example.org"]`, `["https://a; script-src *"]`, `"*"`, `[1]`} {
		if r := edit(`{"embedSites": ` + bad + `}`); r.StatusCode != 422 && r.StatusCode != 400 {
			t.Errorf("%s: %d %s", bad, r.StatusCode, r.body)
		}
	}
	// What is private looks as if it did not exist, and a token does not change where it may be watched.
	if r := edit(`{"visibility": "private"}`); r.StatusCode != 200 {
		t.Fatal(r.body)
	}
	if got := framers(); got != "*" {
		t.Errorf("a private stream: frame-ancestors %s", got)
	}
	viewer := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}})
	if r := watch("https://other.test", viewer); r.StatusCode != 403 {
		t.Errorf("a private stream from another site: %d", r.StatusCode)
	}
	if r := watch("https://example.org", viewer); r.StatusCode != 201 {
		t.Errorf("a private stream from its site: %d %s", r.StatusCode, r.body)
	}
}

// TestBanByAddress: a viewer behind a trusted proxy is known by its address, and comes back with the next broadcast.
func TestBanByAddress(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} })
	token := s.publisher("cats")
	s.onAir("cats", token)
	viewer := s.viewer()
	viewer.header = []string{"X-Forwarded-For", "2001:db8::1"}
	viewer.mustOpen("/whep/cats", "")
	id := s.onlyViewer("cats", token)
	ban := call{method: "DELETE", path: "/api/streams/cats/viewers/" + id + "?ban=broadcast", token: token}
	wantProblem(t, s.do(call{method: "DELETE", path: ban.path}), 401)
	wantProblem(t, s.do(call{method: "DELETE", path: ban.path, token: s.publisher("dogs")}), 403)
	forever := strings.Replace(ban.path, "=broadcast", "=ever", 1)
	wantProblem(t, s.do(call{method: "DELETE", path: forever, token: token}), 400)
	if r := s.do(ban); r.StatusCode != 200 || strings.TrimSpace(r.body) != `{"ended":1,"by":"address"}` {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, s.do(ban), 404)
	open := func(from string) reply {
		c := call{method: "POST", path: "/whep/cats", body: offer(t, "whep-chromium")}.with(sdpBody...)
		return s.do(c.with("X-Forwarded-For", from))
	}
	if p := wantProblem(t, open("2001:db8::2"), 403); p.Code != "banned" {
		t.Errorf("%+v", p)
	}
	if r := open("2001:db8:0:1::1"); r.StatusCode != 201 {
		t.Errorf("a neighbour: %d %s", r.StatusCode, r.body)
	}
}

// TestBoundOfViewers: a stream has its own bound, which the server's caps.
func TestBoundOfViewers(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Viewers = 2 })
	token := s.publisher("cats")
	s.onAir("cats", token)
	s.viewer().mustOpen("/whep/cats", "")
	s.onlyViewer("cats", token)
	edit := func(body string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/cats", token: token, body: body}.with("Content-Type",
			"application/json"))
	}
	open := func() reply {
		return s.do(call{method: "POST", path: "/whep/cats", body: offer(t, "whep-chromium")}.with(sdpBody...))
	}
	for body, status := range map[string]int{
		`{"maxViewers": -1}`: 422, `{"maxViewers": 10000001}`: 422, `{"maxViewers": 1.5}`: 400, `{"maxViewers": "1"}`: 400,
	} {
		wantProblem(t, edit(body), status)
	}
	if r := edit(`{"maxViewers": 1}`); r.StatusCode != 200 || !strings.Contains(r.body, `"maxViewers":1`) {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	if p := wantProblem(t, open(), 503); p.Code != "stream-full" {
		t.Errorf("%+v", p)
	}
	if r := edit(`{"maxViewers": 100}`); r.StatusCode != 200 {
		t.Fatal(r.body)
	}
	if r := open(); r.StatusCode != 201 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	b, err := s.hub.Broadcast("cats")
	s.must(err)
	s.must(b.Join(siaran.Viewer{ID: "second"}))
	wantProblem(t, open(), 503)
}

// pulling is a Cluster that has every stream.
type pulling struct {
	alone
	hub   *siaran.Hub
	media recording
}

func (p pulling) Ensure(_ context.Context, name siaran.StreamName) error {
	pub, err := p.hub.PublishFrom(name, "relay",
		[]siaran.TrackSpec{{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}}}, siaran.Origin{Pulled: true})
	for i, packet := range p.media {
		if err != nil {
			return err
		}
		err = pub.Writer(siaran.KindVideo, "").Write(
			int64(i), packet.timestamp, packet.marker, packet.payload, time.Now())
	}
	return err
}

// TestBoundOfViewersOfAPull: it holds for those too for whom the stream is pulled.
func TestBoundOfViewersOfAPull(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Cluster = pulling{alone{c.Node}, c.Hub, recorded(t, "vp8")} })
	one := 1
	_, err := s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{MaxViewers: &one})
	s.must(err)
	r := s.do(call{method: "POST", path: "/whep/cats", body: offer(t, "whep-chromium")}.with(sdpBody...))
	if r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	b, err := s.hub.Broadcast("cats")
	s.must(err)
	s.must(b.Join(siaran.Viewer{ID: "first"}))
	if err := b.Join(siaran.Viewer{ID: "second"}); !errors.Is(err, siaran.ErrStreamFull) {
		t.Errorf("a second viewer: %v", err)
	}
}
