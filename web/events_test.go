package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// events is a client of the event stream.
type events struct {
	t     *testing.T
	lines chan string // closed at the end of the stream
	close func()
}

func (s *site) events(path, token string) *events {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	req, err := http.NewRequestWithContext(ctx, "GET", s.url+path, nil)
	s.must(err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.client.Do(req)
	s.must(err)
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" ||
		resp.Header.Get("Cache-Control") != "no-store" {
		s.t.Fatalf("%d %v", resp.StatusCode, resp.Header)
	}
	e := &events{t: s.t, lines: make(chan string, 1024)}
	done := make(chan struct{})
	e.close = func() { cancel(); <-done }
	s.t.Cleanup(e.close)
	go func() {
		defer close(done)
		defer close(e.lines)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			select {
			case e.lines <- lines.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return e
}

// posted waits until the live feed has a stream.
func (s *site) rendered(stream siaran.StreamName) {
	s.t.Helper()
	testutil.Eventually(s.t, "the live feed has "+string(stream), func() bool {
		s.server.liveFeed.mu.Lock()
		defer s.server.liveFeed.mu.Unlock()
		return s.server.liveFeed.streams[stream].body != nil
	})
}

// next returns the name and the data of the next event, or "", "" at the end. It skips comments and retry.
func (e *events) next() (name, data string) {
	e.t.Helper()
	deadline := time.After(testutil.Patience)
	for {
		select {
		case line, open := <-e.lines:
			if !open {
				return "", ""
			}
			if v, found := strings.CutPrefix(line, "event: "); found {
				name = v
			}
			if v, found := strings.CutPrefix(line, "data: "); found {
				return name, v
			}
		case <-deadline:
			e.t.Fatal("no event has come")
		}
	}
}

// expect reads events until one is as wanted; data must hold want.
func (e *events) expect(name, want string) string {
	e.t.Helper()
	for {
		got, data := e.next()
		if got == name && strings.Contains(data, want) {
			return data
		}
		if got != "stream" && got != "come" { // counts and sizes may come in between
			e.t.Fatalf("got %s %s, want %s with %s", got, data, name, want)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.live("cats")
	s.rendered("cats")
	e := s.events("/api/streams/events", "")
	first := e.expect("snapshot", `"name":"cats"`)
	var list struct{ Streams []streamView }
	if err := json.Unmarshal([]byte(first), &list); err != nil || len(list.Streams) != 1 ||
		list.Streams[0].Video.Width != 320 {
		t.Errorf("%v: %s", err, first)
	}
	dogs := s.live("dogs")
	e.expect("stream", `"name":"dogs"`)
	title := "Dogs\nand more"
	s.must2(s.listing.Edit(t.Context(), "dogs", siaran.StreamEdit{Title: &title}))
	e.expect("stream", `"title":"Dogs\nand more"`)
	dogs.Interrupt()
	e.expect("stream", `"status":"interrupted"`)
	dogs.Stop()
	if got := e.expect("gone", "dogs"); got != `{"name":"dogs"}` {
		t.Error(got)
	}
	s.must2(s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	e.expect("gone", "cats")
}

func TestEventsOfOneStream(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.live("dogs")
	e := s.events("/api/streams/events?stream=cats", "")
	e.expect("snapshot", `{"streams":[]}`)
	cats := s.live("cats")
	e.expect("stream", `"name":"cats"`)
	cats.Stop()
	e.expect("gone", "cats")
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/events?stream=Cats"}), 404)
}

// TestThoseWhoWaitAreSpread: before anything else about a stream that has gone live, clients that waited for it learn
// within how long to come: the more of them, the longer. Later clients get no such event.
func TestThoseWhoWaitAreSpread(t *testing.T) {
	t.Parallel()
	s := start(t)
	var waiting []*events
	for range 5 {
		e := s.events("/api/streams/events?stream=cats", "")
		e.expect("snapshot", `"streams":[]`)
		waiting = append(waiting, e)
	}
	all := s.events("/api/streams/events", "")
	all.expect("snapshot", `"streams":[]`)
	cats := s.live("cats")
	for _, e := range waiting {
		if name, data := e.next(); name != "come" || data != `{"within":20}` {
			t.Errorf("got %s %s, want five times 4 ms first", name, data)
		}
		e.expect("stream", `"name":"cats"`)
	}
	if name, data := all.next(); name != "stream" {
		t.Errorf("a follower of everything is told %s %s", name, data)
	}
	later := s.events("/api/streams/events?stream=cats", "")
	if name, data := later.next(); name != "snapshot" {
		t.Errorf("a late follower is told %s %s", name, data)
	}
	later.close()
	cats.Stop()
	waiting[0].expect("gone", "cats")
	s.live("cats")
	if name, data := waiting[0].next(); name != "come" || data != `{"within":20}` {
		t.Errorf("got %s %s the second time", name, data)
	}
}

// TestSpreadIsBounded: however many clients seem to wait, none waits for long.
func TestSpreadIsBounded(t *testing.T) {
	t.Parallel()
	b := newLiveFeed(nil, nil, 1e6, 0, 2*time.Millisecond)
	for range 20001 {
		if b.follow(&follower{only: "cats"}) != nil {
			t.Fatal("no room")
		}
	}
	b.reset(nil)
	b.change(siaran.StreamEvent{Stream: siaran.Stream{Name: "cats", Status: siaran.StatusLive}})
	for f := range b.followers {
		if f.within != longestCome {
			t.Fatalf("within %v", f.within)
		}
	}
}

func TestEventsOfAPrivateStream(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must2(s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	const path = "/api/streams/events?stream=cats"
	wantProblem(t, s.do(call{method: "GET", path: path}), 401)
	wantProblem(t, s.do(call{method: "GET", path: path, token: s.publisher("dogs")}), 403)
	watch := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}})
	all := s.events("/api/streams/events", s.admin)
	all.expect("snapshot", `{"streams":[]}`)
	e, admin := s.events(path, watch), s.events(path, s.admin)
	for _, f := range []*events{e, admin} {
		f.expect("snapshot", `{"streams":[]}`)
	}
	cats := s.live("cats")
	for _, f := range []*events{e, admin} {
		f.expect("stream", `"name":"cats"`)
	}
	s.events(path, watch).expect("snapshot", `"name":"cats"`)
	s.must2(s.listing.RotateKeys(t.Context(), "cats"))
	if name, data := e.next(); name != "" {
		t.Errorf("a revoked token is still told: %s %s", name, data)
	}
	cats.Stop()
	admin.expect("gone", "cats")
	all.close()
	for line := range all.lines {
		if strings.HasPrefix(line, "event:") {
			t.Errorf("everyone is told of a private stream: %s", line)
		}
	}
}

// TestEventsEndWithTheRightToThem: when the account is disabled or its token runs out, and when the stream goes to
// another account.
func TestEventsEndWithTheRightToThem(t *testing.T) {
	t.Parallel()
	private := siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate), Owner: new("firebase:ana")}
	for name, tt := range map[string]struct {
		change func(*site, *turnsBad)
		ends   bool
	}{
		"disabled":      {func(_ *site, tokens *turnsBad) { tokens.now(access.ErrDisabled) }, true},
		"run out":       {func(_ *site, tokens *turnsBad) { tokens.now(access.ErrExpired) }, true},
		"nobody to ask": {func(_ *site, tokens *turnsBad) { tokens.now(access.ErrUnreachable) }, false},
		"given away": {func(s *site, _ *turnsBad) {
			s.must2(s.listing.Edit(s.t.Context(), "cats", siaran.StreamEdit{Owner: new("firebase:budi")}))
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := &turnsBad{}
			s := startTweaked(t, func(s *Server) { s.pingEvery = 50 * time.Millisecond }, func(c *Config) {
				tokens.TokenVerifier = accounts{c.Secret}
				c.Tokens = tokens
			})
			s.must2(s.listing.Edit(t.Context(), "cats", private))
			e := s.events("/api/streams/events?stream=cats", "account:ana:1")
			e.expect("snapshot", `{"streams":[]}`)
			tt.change(s, tokens)
			if tt.ends {
				if name, data := e.next(); name != "" {
					t.Errorf("it is still told: %s %s", name, data)
				}
				return
			}
			s.live("cats")
			e.expect("stream", `"name":"cats"`)
		})
	}
}

// turnsBad is a verifier whose tokens are good until a test says otherwise.
type turnsBad struct {
	access.TokenVerifier
	matter atomic.Pointer[error]
}

func (b *turnsBad) now(matter error) { b.matter.Store(&matter) }

func (b *turnsBad) Verify(ctx context.Context, token string) (access.Claims, error) {
	if matter := b.matter.Load(); matter != nil {
		return access.Claims{}, *matter
	}
	return b.TokenVerifier.Verify(ctx, token)
}

func TestEventsPing(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.pingEvery = 20 * time.Millisecond })
	e := s.events("/api/streams/events", "")
	e.expect("snapshot", "")
	deadline := time.After(testutil.Patience)
	for {
		select {
		case line := <-e.lines:
			if line == ": ping" {
				return
			}
		case <-deadline:
			t.Fatal("no ping")
		}
	}
}

// TestEventsOutliveRequestDeadlines: with the deadline of the request the connection would end after a while.
func TestEventsOutliveRequestDeadlines(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) {
		s.http.ReadTimeout, s.http.WriteTimeout = 3*time.Second, 3*time.Second
	})
	e := s.events("/api/streams/events", "")
	e.expect("snapshot", "")
	<-time.After(3500 * time.Millisecond) // nothing can be waited for: nothing must happen
	s.live("cats")
	e.expect("stream", "cats")
}

// TestEventsOfOneAddress: no address can take all places, with many connections or with one of HTTP/2.
func TestEventsOfOneAddress(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) {
		c.Limits.Watchers, c.TrustedProxies = 8, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	open := func(from string) int {
		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url+"/api/streams/events", nil)
		s.must(err)
		req.Header.Set("X-Forwarded-For", from)
		resp, err := s.client.Do(req)
		s.must(err)
		t.Cleanup(func() { resp.Body.Close() })
		return resp.StatusCode
	}
	for _, from := range []string{"192.0.2.1", "192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2", "10.0.0.1",
		"10.0.0.1"} {
		if status := open(from); status != 200 {
			t.Errorf("%s: %d", from, status)
		}
	}
	for _, from := range []string{"192.0.2.1", "2001:db8::3"} {
		if status := open(from); status != 429 {
			t.Errorf("one more of %s: %d", from, status)
		}
	}
}

func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Watchers = 2 })
	a := s.events("/api/streams/events", "")
	s.events("/api/streams/events", "")
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams/events"}), 503)
	a.close()
	testutil.Eventually(t, "there is room again", func() bool {
		s.server.liveFeed.mu.Lock()
		defer s.server.liveFeed.mu.Unlock()
		return len(s.server.liveFeed.followers) == 1
	})
	s.events("/api/streams/events", "").expect("snapshot", "")
	if r := s.do(call{method: "HEAD", path: "/api/streams/events"}); r.StatusCode != 200 ||
		r.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", r.StatusCode, r.Header)
	}
}

// TestSlowFollower: a client that does not read costs only the names of what has changed, and gets the newest state.
func TestSlowFollower(t *testing.T) {
	t.Parallel()
	b := newLiveFeed(nil, nil, 10, 0, 2*time.Millisecond)
	b.reset(nil)
	f := &follower{}
	if err := b.follow(f); err != nil {
		t.Fatal(err)
	}
	if d := b.take(f); !d.snapshot || len(d.streams) != 0 {
		t.Errorf("%+v", d)
	}
	for i := range 1000 {
		b.change(siaran.StreamEvent{Stream: siaran.Stream{Name: "cats", Status: siaran.StatusLive, Viewers: i}})
		b.change(siaran.StreamEvent{Stream: siaran.Stream{Name: "dogs", Status: siaran.StatusLive, Viewers: i},
			Gone: i%2 == 1})
	}
	d := b.take(f)
	if len(d.streams) != 1 || !strings.Contains(string(d.streams[0]), `"viewers":999`) || fmt.Sprint(d.gone) != "[dogs]" {
		t.Errorf("%s %v", d.streams, d.gone)
	}
	if d = b.take(f); len(d.events()) != 0 {
		t.Errorf("again: %s", d.events())
	}
	b.reset([]siaran.Stream{{Name: "birds", Status: siaran.StatusLive}})
	if d = b.take(f); !d.snapshot || len(d.streams) != 1 {
		t.Errorf("%+v", d)
	}
}

// TestClientThatTakesNothing: it is disconnected when its connection is full and the deadline has passed.
func TestClientThatTakesNothing(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.sendTime, s.pingEvery = 100*time.Millisecond, time.Millisecond })
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.must(err)
	defer conn.Close()
	s.must(conn.(*net.TCPConn).SetReadBuffer(4096))
	fmt.Fprintf(conn, "GET /api/streams/events HTTP/1.1\r\nHost: x\r\n\r\n")
	title := strings.Repeat("long ", 20000)
	followers := func() int {
		s.server.liveFeed.mu.Lock()
		defer s.server.liveFeed.mu.Unlock()
		return len(s.server.liveFeed.followers)
	}
	testutil.Eventually(t, "it follows", func() bool { return followers() == 1 })
	n := 0
	testutil.Eventually(t, "it is let go", func() bool {
		n++
		s.server.liveFeed.change(siaran.StreamEvent{Stream: siaran.Stream{Name: "cats", Status: siaran.StatusLive,
			Title: title, Viewers: n}})
		return followers() == 0
	})
}

// failingListing fails for a while.
type failingListing struct {
	siaran.Listing
	down atomic.Bool
}

var errDown = errors.New("disk on fire")

func (l *failingListing) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	if l.down.Load() {
		return siaran.Stream{}, errDown
	}
	return l.Listing.Stream(ctx, name)
}

func (l *failingListing) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	if l.down.Load() {
		return nil, errDown
	}
	return l.Listing.Streams(ctx, q)
}

func (l *failingListing) Watch(ctx context.Context, snapshot func([]siaran.Stream),
	event func(siaran.StreamEvent)) error {
	if l.down.Load() {
		return errDown
	}
	return l.Listing.Watch(ctx, snapshot, event)
}

func TestListingDown(t *testing.T) {
	t.Parallel()
	l := &failingListing{}
	l.down.Store(true)
	s := start(t, func(c *Config) { l.Listing, c.Listing = c.Listing, l })
	e := s.events("/api/streams/events", "")
	for _, path := range []string{"/api/streams", "/api/streams/cats", "/readyz"} {
		if p := wantProblem(t, s.do(call{method: "GET", path: path}), 503); strings.Contains(p.Detail, "fire") {
			t.Errorf("%s: the client is told too much: %s", path, p.Detail)
		}
	}
	if r := s.do(call{method: "GET", path: "/healthz"}); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
	wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: s.publisher("cats"),
		body: "x"}.with(sdpBody...)), 503)
	l.down.Store(false)
	e.expect("snapshot", "")
	s.live("cats")
	e.expect("stream", "cats")
	if r := s.do(call{method: "GET", path: "/readyz"}); r.StatusCode != 200 {
		t.Errorf("%d", r.StatusCode)
	}
}

// TestMediaGoesOnWithoutTheListing: known streams can still be published and watched.
func TestMediaGoesOnWithoutTheListing(t *testing.T) {
	t.Parallel()
	l := &failingListing{}
	s := start(t, func(c *Config) { l.Listing, c.Listing = c.Listing, l })
	cats := s.publisher("cats")
	s.must2(s.listing.RotateKeys(t.Context(), "private"))
	s.must2(s.listing.Edit(t.Context(), "private", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	s.onAir("cats", cats)
	s.viewer().mustOpen("/whep/cats", "")
	wantProblem(t, s.viewer().open("/whep/private", ""), 401)
	l.down.Store(true)
	s.broadcaster().mustOpen("/whip/cats", cats)
	s.viewer().mustOpen("/whep/cats", "")
	wantProblem(t, s.viewer().open("/whep/private", ""), 401)
	wantProblem(t, s.do(call{method: "POST", path: "/whip/private", token: s.publisher("private"),
		body: "x"}.with(sdpBody...)), 401)
	wantProblem(t, s.viewer().open("/whep/never", ""), 503)
}
