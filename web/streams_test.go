package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

var jsonBody = []string{"Content-Type", "application/json"}

func TestListOfStreams(t *testing.T) {
	t.Parallel()
	s := start(t)
	if r := s.do(call{method: "GET", path: "/api/streams"}); r.body != "{\"streams\":[]}\n" ||
		r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%q %v", r.body, r.Header)
	}
	s.live("cats")
	s.live("hidden")
	s.must2(s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Title: new("Cats & dogs"), Owner: new("secret owner")}))
	s.must2(s.listing.Edit(t.Context(), "hidden", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	s.must2(s.listing.Edit(t.Context(), "asleep", siaran.StreamEdit{Title: new("Asleep")}))

	var raw struct{ Streams []map[string]any }
	s.get("/api/streams", "", &raw)
	if len(raw.Streams) != 1 {
		t.Fatalf("%v", raw.Streams)
	}
	got := raw.Streams[0]
	started, err := time.Parse(time.RFC3339, fmt.Sprint(got["startedAt"]))
	if err != nil || time.Since(started) > time.Minute {
		t.Errorf("startedAt %v", got["startedAt"])
	}
	delete(got, "startedAt")
	want := `{"audio":null,"layers":[{"height":240,"rid":"","width":320}],"name":"cats","node":"here",` +
		`"status":"live","title":"Cats \u0026 dogs","video":{"codec":"VP8","height":240,"width":320},"viewers":0}`
	if b, _ := json.Marshal(got); string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}

	names := func(path, token string) string {
		var list struct{ Streams []streamView }
		if r := s.get(path, token, &list); r.StatusCode != 200 {
			return fmt.Sprint(r.StatusCode)
		}
		var names []string
		for _, v := range list.Streams {
			names = append(names, string(v.Name))
		}
		return strings.Join(names, " ")
	}
	for _, tt := range [][3]string{
		{"/api/streams?status=live", "", "cats"},
		{"/api/streams?status=all", "", "cats asleep"},
		{"/api/streams?status=all", "undefined", "cats asleep"},
		{"/api/streams?status=all", s.publisher("hidden"), "cats asleep"},
		{"/api/streams", s.admin, "hidden cats"},
		{"/api/streams?status=all&limit=1", "", "cats"},
		{"/api/streams?status=dead", "", "400"},
		{"/api/streams?limit=0", "", "400"},
		{"/api/streams?limit=1001", "", "400"},
	} {
		if got := names(tt[0], tt[1]); got != tt[2] {
			t.Errorf("%s: got %q, want %q", tt[0], got, tt[2])
		}
	}
}

// asked records the queries for lists.
type asked struct {
	siaran.Listing
	query chan siaran.StreamQuery
}

func (a asked) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	a.query <- q
	return a.Listing.Streams(ctx, q)
}

// TestListsThatAnyoneMayAskFor: only callers with a right to more are answered from the database each time.
func TestListsThatAnyoneMayAskFor(t *testing.T) {
	t.Parallel()
	queries := make(chan siaran.StreamQuery, 10)
	s := start(t, func(c *Config) { c.Listing = asked{c.Listing, queries} })
	for _, path := range []string{"/api/streams", "/api/streams?status=all&limit=1000"} {
		for _, token := range []string{"", "undefined", s.publisher("cats")} {
			s.do(call{method: "GET", path: path, token: token})
			select {
			case q := <-queries:
				if q.Private {
					t.Errorf("%s with the token %q asks for %+v", path, token, q)
				}
			default: // a list that was read a moment ago
			}
		}
		for range 3 {
			s.do(call{method: "GET", path: path, token: s.admin})
			if q := <-queries; !q.Private {
				t.Errorf("%s of an administrator asks for %+v", path, q)
			}
		}
	}
}

// slow is a listing that takes its time.
type slow struct {
	siaran.Listing
	running, most, asked atomic.Int32
}

func (l *slow) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	l.asked.Add(1)
	if n := l.running.Add(1); n > l.most.Load() {
		l.most.Store(n)
	}
	defer l.running.Add(-1)
	time.Sleep(50 * time.Millisecond)
	return l.Listing.Streams(ctx, q)
}

// TestListOfEverything: it is read once for everybody who asks at about the same time, whatever part they want, and by
// one at a time.
func TestListOfEverything(t *testing.T) {
	t.Parallel()
	var l *slow
	s := start(t, func(c *Config) {
		l = &slow{Listing: c.Listing}
		c.Listing = l
	})
	for i := range 5 {
		s.must2(s.listing.Edit(t.Context(), siaran.StreamName(fmt.Sprint("s", i)), siaran.StreamEdit{}))
	}
	begin := time.Now()
	var asking sync.WaitGroup
	for i := range 40 {
		asking.Go(func() {
			var list struct{ Streams []streamView }
			s.get(fmt.Sprintf("/api/streams?status=all&limit=%d", 1+i%7), "", &list)
			if len(list.Streams) != min(1+i%7, 5) {
				t.Errorf("%d streams of at most %d", len(list.Streams), 1+i%7)
			}
		})
	}
	asking.Wait()
	if n, most := l.asked.Load(), l.most.Load(); most != 1 || int(n) > 1+int(time.Since(begin)/(300*time.Millisecond)) {
		t.Errorf("asked %d times in %s, %d at a time", n, time.Since(begin), most)
	}
}

func TestListsBySource(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.List = Rate{0.001, 2} })
	for _, want := range []int{200, 200, 429} {
		if r := s.do(call{method: "GET", path: "/api/streams?status=all"}); r.StatusCode != want {
			t.Errorf("%d, want %d", r.StatusCode, want)
		}
	}
}

// TestReadyzAsksTheListing, or what the configuration names instead.
func TestReadyzAsksTheListing(t *testing.T) {
	t.Parallel()
	var why error
	queries := make(chan siaran.StreamQuery, 1)
	s := start(t, func(c *Config) {
		c.Listing = asked{c.Listing, queries}
		c.Ready = func(context.Context) error { return why }
	})
	if r := s.do(call{method: "GET", path: "/readyz"}); r.StatusCode != 200 || len(queries) != 0 {
		t.Errorf("%d, with %d questions to the listing", r.StatusCode, len(queries))
	}
	s.server.cfg.Doubt = func(context.Context) error { return why }
	if r := s.do(call{method: "GET", path: "/readyz"}); strings.Contains(r.body, "warning") {
		t.Errorf("it warns of nothing: %s", r.body)
	}
	why = errors.New("it tells nothing")
	if p := wantProblem(t, s.do(call{method: "GET", path: "/readyz"}), 503); !strings.Contains(p.Detail,
		"it tells nothing") {
		t.Errorf("it says %q", p.Detail)
	}
	s.server.cfg.Ready = func(context.Context) error { return nil } // what is known can be served
	if r := s.do(call{method: "GET", path: "/readyz"}); r.StatusCode != 200 ||
		!strings.Contains(r.body, "it tells nothing") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
}

func TestOneStream(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/cats"}), 404)
	edit := func(token, body string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/cats", token: token, body: body}.with(jsonBody...))
	}
	var got streamDetail
	r := edit(cats, `{"title":"  My\t\u202ecats\u0000 ","description":"one\ntwo","unknown":{"x":1},"visibility":null}`)
	if r.StatusCode != 200 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	s.get("/api/streams/cats", "", &got)
	if got.Title != "My cats" || got.Description != "one\ntwo" || got.Visibility != "public" ||
		got.Status != "offline" || got.StartedAt != nil {
		t.Errorf("%+v", got)
	}
	edit(cats, `{"description":""}`)
	s.get("/api/streams/cats", "", &got)
	if got.Title != "My cats" || got.Description != "" {
		t.Errorf("%+v", got)
	}
	for body, status := range map[string]int{
		"":            400,
		"{":           400,
		`[]`:          400,
		`{"title":1}`: 400,
		`{"title":"` + strings.Repeat("é", 121) + `"}`:        422,
		`{"description":"` + strings.Repeat("x", 2001) + `"}`: 422,
		`{"visibility":"secret"}`:                             422,
		`{"title":"` + strings.Repeat("x", maxJSON) + `"}`:    413,
		strings.Repeat("[", 10000):                            400,
	} {
		wantProblem(t, edit(cats, body), status)
	}
	wantProblem(t, edit("", "{}"), 401)
	wantProblem(t, edit(s.publisher("dogs"), "{}"), 403)
	wantProblem(t, edit(s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}}), "{}"), 403)
	wantProblem(t, s.do(call{method: "PATCH", path: "/api/streams/cats", token: cats, body: "{}"}), 415)
	wantProblem(t, s.do(call{method: "DELETE", path: "/api/streams/cats/broadcast", token: cats}), 404)
}

func TestKeysAndGenerations(t *testing.T) {
	t.Parallel()
	s := start(t)
	first := s.publisher("cats")
	type made struct {
		Token         string
		Scope         string
		ExpiresAt     *time.Time
		KeyGeneration int
		Revoked       bool
	}
	ask := func(token, body string) (made, reply) {
		c := call{method: "POST", path: "/api/streams/cats/keys", token: token, body: body}
		if body != "" {
			c = c.with(jsonBody...)
		}
		r := s.do(c)
		var m made
		if r.StatusCode == 201 {
			s.must(json.Unmarshal([]byte(r.body), &m))
		}
		return m, r
	}
	good := func(token string) bool {
		return s.do(call{method: "GET", path: "/api/tokens/self", token: token}).StatusCode == 200
	}

	viewer, _ := ask(first, `{"scope":"watch","ttl":60}`)
	if viewer.Revoked || viewer.Scope != "watch" || viewer.ExpiresAt == nil ||
		time.Until(*viewer.ExpiresAt) > time.Minute || !good(first) || !good(viewer.Token) {
		t.Errorf("%+v", viewer)
	}
	second, r := ask(first, "")
	if !second.Revoked || second.KeyGeneration != 1 || second.ExpiresAt != nil ||
		r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%+v %v", second, r.Header)
	}
	if good(first) || good(viewer.Token) || !good(second.Token) || !good(s.admin) {
		t.Error("the wrong tokens are void")
	}
	if p := wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: first,
		body: "x"}.with(sdpBody...)), 401); !strings.Contains(p.Detail, "revoked") {
		t.Errorf("not told why: %s", p.Detail)
	}
	third, _ := ask(s.admin, `{"revoke":false}`)
	if third.Revoked || !good(second.Token) || !good(third.Token) {
		t.Errorf("%+v", third)
	}
	if ask(third.Token, `{"scope":"watch","revoke":true}`); good(third.Token) {
		t.Error("revoke was not heard")
	}

	short := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish}, KeyGeneration: 2,
		Expires: time.Now().Add(time.Minute)})
	for _, body := range []string{`{"revoke":false}`, `{"revoke":false,"ttl":3600}`} {
		if m, _ := ask(short, body); m.ExpiresAt == nil || time.Until(*m.ExpiresAt) > time.Minute {
			t.Errorf("%s: outlives the token it was made with: %+v", body, m)
		}
	}
	for body, status := range map[string]int{`{"scope":"admin"}`: 422, `{"ttl":-1}`: 422, `{"ttl":1e30}`: 400,
		`{"ttl":9999999999}`: 422, "x": 400} {
		_, r := ask(s.admin, body)
		wantProblem(t, r, status)
	}
	_, r = ask(s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}, KeyGeneration: 2}), "")
	wantProblem(t, r, 403)
}

func TestTokenSelf(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := s.do(call{method: "GET", path: "/api/tokens/self", token: s.admin})
	if r.body != `{"stream":"*","scopes":["admin"],"expiresAt":null}`+"\n" {
		t.Error(r.body)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/tokens/self"}), 401)
	wantProblem(t, s.do(call{method: "GET", path: "/api/tokens/self", token: "undefined"}), 401)
}

func TestPrivateStream(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.onAir("cats", s.publisher("cats"))
	s.must2(s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	watch := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}})
	for _, path := range []string{"/api/streams/cats", "/api/streams/cats/keyframe"} {
		wantProblem(t, s.do(call{method: "GET", path: path}), 401)
		wantProblem(t, s.do(call{method: "GET", path: path, token: s.publisher("dogs")}), 403)
		if r := s.do(call{method: "GET", path: path, token: watch}); r.StatusCode != 200 {
			t.Errorf("%s: %d %s", path, r.StatusCode, r.body)
		}
	}
	wantProblem(t, s.viewer().open("/whep/cats", ""), 401)
	for _, path := range []string{"/whep/cats", "/whep/cats?token=" + watch} {
		token := watch
		if strings.Contains(path, "?") {
			token = ""
		}
		v := s.viewer()
		v.mustOpen(path, token)
		testutil.Eventually(t, "the viewer sees something", func() bool { return v.packets.Load() > 5 })
	}
}

// TestSessionTokens: a session's address is enough, but a token that is sent must be right.
func TestSessionTokens(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	b := s.onAir("cats", cats)
	v := s.viewer()
	v.mustOpen("/whep/cats", "undefined")
	get := func(p *peer, token string) int {
		return s.do(call{method: "GET", path: p.location, token: token}).StatusCode
	}
	for token, want := range map[string]int{"": 204, cats: 204, s.admin: 204, s.publisher("cats"): 204,
		"undefined": 401, s.publisher("dogs"): 403} {
		if got := get(b, token); got != want {
			t.Errorf("broadcaster's session: %d, want %d", got, want)
		}
		if got := get(v, token); got != 204 {
			t.Errorf("session of a viewer who needs no token: %d", got)
		}
	}
	if _, err := s.listing.RotateKeys(t.Context(), "cats"); err != nil {
		t.Fatal(err)
	}
	if got := get(b, s.publisher("cats")); got != 401 {
		t.Errorf("another revoked token: %d", got)
	}
	if r := s.do(call{method: "DELETE", path: b.location, token: cats}); r.StatusCode != http.StatusOK {
		t.Errorf("the owner's token, revoked meanwhile, cannot end the session: %d", r.StatusCode)
	}
}

func TestStrictSessions(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.StrictSessionAuth = true })
	cats := s.publisher("cats")
	b := s.onAir("cats", cats)
	wantProblem(t, s.do(call{method: "DELETE", path: b.location}), 401)
	if r := s.do(call{method: "DELETE", path: b.location, token: cats}); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
}

func TestViewersAndHealth(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	s.onAir("cats", cats)
	v := s.viewer()
	v.mustOpen("/whep/cats", "")
	var list struct {
		Viewers []viewerView
		Total   int
	}
	testutil.Eventually(t, "the viewer is listed", func() bool {
		s.get("/api/streams/cats/viewers", cats, &list)
		return len(list.Viewers) == 1
	})
	if got := list.Viewers[0]; got.Path != "direct" || got.Node != "here" ||
		time.Since(got.JoinedAt) > time.Minute || list.Total != 1 {
		t.Errorf("%+v", list)
	}
	if strings.Contains(v.location, string(list.Viewers[0].ID)) {
		t.Error("a viewer's id is its session's")
	}
	for _, path := range []string{"/api/streams/cats/viewers", "/api/streams/cats/health"} {
		wantProblem(t, s.do(call{method: "GET", path: path}), 401)
		wantProblem(t, s.do(call{method: "GET", path: path, token: s.publisher("dogs")}), 403)
	}
	wantProblem(t, s.do(call{method: "DELETE", path: "/api/streams/cats/viewers/nobody", token: cats}), 404)
	wantProblem(t, s.do(call{method: "DELETE", path: "/api/streams/cats/viewers/" + string(list.Viewers[0].ID)}), 401)
	if r := s.do(call{method: "DELETE", path: "/api/streams/cats/viewers/" + string(list.Viewers[0].ID),
		token: cats}); r.StatusCode != 204 {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	testutil.Eventually(t, "the viewer is gone", func() bool {
		return s.do(call{method: "GET", path: v.location}).StatusCode == 404
	})
	var health struct{ Connected bool }
	if r := s.get("/api/streams/cats/health", cats, &health); r.StatusCode != 200 || !health.Connected {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/dogs/health", token: s.admin}), 404)
}
