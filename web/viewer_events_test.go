package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
)

// simulcast is a stream of three layers that is fed until the test ends.
type simulcast struct {
	site *site
	pub  *siaran.Publication
	stop func()
}

// layered makes a stream of three layers live, without a network.
func (s *site) layered(stream siaran.StreamName) *simulcast {
	s.t.Helper()
	pub, err := s.hub.Publish(stream, "test", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: []string{"h", "m", "l"}},
	})
	s.must(err)
	done := make(chan struct{})
	var feeding sync.WaitGroup
	b := &simulcast{site: s, pub: pub}
	b.stop = sync.OnceFunc(func() { close(done); feeding.Wait() })
	feeding.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := int64(0); ; n++ {
			for i, w := range pub.Writers() {
				if w.Write(n, 1800*n, true, vp8Frame(n%25 == 0, 1280>>i, 720>>i), time.Now()) != nil {
					return // it has ended
				}
			}
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	s.t.Cleanup(b.stop)
	s.listed(string(stream), siaran.StatusLive)
	return b
}

func vp8Frame(key bool, width, height int) []byte {
	if !key {
		return append([]byte{0x10, 0x01}, make([]byte, 400)...)
	}
	head := []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, byte(width), byte(width >> 8), byte(height), byte(height >> 8)}
	return append(head, make([]byte, 800)...)
}

// watching is a viewer that sees something, with the addresses of its extensions.
func (s *site) watching(stream string) (v *peer, events, layers string) {
	s.t.Helper()
	v = s.viewer()
	r := v.open("/whep/"+stream, "")
	if r.StatusCode != http.StatusCreated {
		s.t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	links := strings.Join(r.Header.Values("Link"), "\n")
	for _, want := range []string{
		"<" + v.location + `/events>; rel="urn:ietf:params:whep:ext:core:server-sent-events"; ` +
			`events="active,inactive,layers,reconnect,viewercount,viewing"`,
		"<" + v.location + `/layers>; rel="urn:ietf:params:whep:ext:core:layer"`,
	} {
		if !strings.Contains(links, want) {
			s.t.Errorf("no %s in\n%s", want, links)
		}
	}
	testutil.Eventually(s.t, "the viewer sees something", func() bool { return v.packets.Load() > 5 })
	return v, v.location + "/events", v.location + "/layers"
}

// ask opens an event stream about some events, or about all when names is empty.
func (s *site) ask(events, names string) (location string) {
	s.t.Helper()
	c := call{method: "POST", path: events, body: names}
	if names != "" {
		c = c.with("Content-Type", "application/json; charset=utf-8")
	}
	r := s.do(c)
	if r.StatusCode != http.StatusCreated || !strings.HasPrefix(r.Header.Get("Location"), events+"/") {
		s.t.Fatalf("%d %v %s", r.StatusCode, r.Header, r.body)
	}
	wantCORS(s.t, r)
	return r.Header.Get("Location")
}

// until reads events until one has the name and holds all parts.
func (e *events) until(name string, parts ...string) string {
	e.t.Helper()
	for {
		got, data := e.next()
		if got == "" {
			e.t.Fatalf("the stream ended before %s %q", name, parts)
		}
		if got != name {
			continue
		}
		all := true
		for _, part := range parts {
			all = all && strings.Contains(data, part)
		}
		if all {
			return data
		}
	}
}

func (s *site) say(path, body string) reply {
	s.t.Helper()
	return s.do(call{method: "POST", path: path, body: body}.with("Content-Type", "application/json"))
}

func TestViewerChoosesLayers(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.tellEvery = 20 * time.Millisecond })
	b := s.layered("cats")
	_, eventsAt, layersAt := s.watching("cats")
	e := s.events(s.ask(eventsAt, ""), "")
	if name, data := e.next(); name != "active" || data != "{}" {
		t.Errorf("the first event is %s %s", name, data)
	}
	e.until("viewercount", `{"viewercount":1}`)
	var list map[string][]layerView
	s.must(json.Unmarshal([]byte(e.until("layers", `"rid":"l","bitrate":`, `"width":1280,"height":720`)), &list))
	if len(list) != 1 || len(list["0"]) != 3 || list["0"][2].RID != "l" || list["0"][2].Width != 320 {
		t.Errorf("layers %+v", list)
	}
	e.until("viewing", `"rid":"h"`, `"height":720`, `"automatic":true`)
	if r := s.say(layersAt, `{"mediaId":"0","rid":"l"}`); r.StatusCode != http.StatusOK {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	e.until("viewing", `"rid":"l"`, `"height":180`, `"automatic":false`, `"reason":"chosen"`)
	var shown struct {
		Layers  map[string][]layerView
		Viewing viewingView
	}
	s.get(layersAt, "", &shown)
	if len(shown.Layers["0"]) != 3 || shown.Viewing.RID != "l" || shown.Viewing.Automatic {
		t.Errorf("shown as %+v", shown)
	}
	s.say(layersAt, `{"maxHeight":400}`)
	e.until("viewing", `"rid":"m"`)
	if r := s.do(call{method: "DELETE", path: layersAt}); r.StatusCode != http.StatusOK {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	e.until("viewing", `"rid":"h"`, `"automatic":true`)
	s.say(layersAt, `{"audioOnly":true}`)
	e.until("viewing", `"reason":"sound only"`)
	s.say(layersAt, `{"mediaId":"0","future":[1]}`)
	e.until("viewing", `"rid":"h"`, `"automatic":true`)
	b.stop()
	b.pub.Interrupt()
	e.until("inactive", "{}")
	w := b.pub.Writers()[0]
	s.must(w.Write(1<<20, 1<<30, true, vp8Frame(true, 1280, 720), time.Now()))
	e.until("active", "{}")
	b.pub.Stop()
	e.until("inactive")
	for name, data := e.next(); name != ""; name, data = e.next() {
		if name == "active" || name == "inactive" {
			t.Errorf("%s %s after the end", name, data)
		}
	}
}

// TestViewersSayIsRefused sends what cannot be done.
func TestViewersSayIsRefused(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.layered("cats")
	v, eventsAt, layersAt := s.watching("cats")
	stream := s.ask(eventsAt, "")
	json, text := []string{"Content-Type", "application/json"}, []string{"Content-Type", "text/plain"}
	whip := strings.Replace(layersAt, "whep", "whip", 1)
	for name, test := range map[string]struct {
		call
		status int
	}{
		"unknown event":      {call{method: "POST", path: eventsAt, body: `["active","scte35"]`}.with(json...), 400},
		"no event":           {call{method: "POST", path: eventsAt, body: `[]`}.with(json...), 400},
		"null":               {call{method: "POST", path: eventsAt, body: `null`}.with(json...), 400},
		"not a list":         {call{method: "POST", path: eventsAt, body: `{"active":1}`}.with(json...), 400},
		"no JSON":            {call{method: "POST", path: eventsAt, body: `[active`}.with(json...), 400},
		"events as text":     {call{method: "POST", path: eventsAt, body: `["active"]`}.with(text...), 415},
		"too much":           {call{method: "POST", path: eventsAt, body: strings.Repeat(" ", 1<<15)}.with(json...), 413},
		"GET of the opener":  {call{method: "GET", path: eventsAt}, 405},
		"unknown stream":     {call{method: "GET", path: eventsAt + "/NOTHING"}, 404},
		"of another session": {call{method: "GET", path: strings.Replace(stream, "/cats/", "/dogs/", 1)}, 404},
		"no session":         {call{method: "POST", path: "/whep/cats/" + strings.Repeat("x", 43) + "/events"}, 404},
		"layer as text":      {call{method: "POST", path: layersAt, body: `{}`}.with(text...), 415},
		"layer no JSON":      {call{method: "POST", path: layersAt, body: `{"rid":`}.with(json...), 400},
		"layer no object":    {call{method: "POST", path: layersAt, body: `[]`}.with(json...), 400},
		"layer of text":      {call{method: "POST", path: layersAt, body: `{"maxWidth":"wide"}`}.with(json...), 400},
		"unknown layer":      {call{method: "POST", path: layersAt, body: `{"rid":"x"}`}.with(json...), 422},
		"other section":      {call{method: "POST", path: layersAt, body: `{"mediaId":"7"}`}.with(json...), 422},
		"negative layer":     {call{method: "POST", path: layersAt, body: `{"spatialLayerId":-1}`}.with(json...), 422},
		"part of a pixel":    {call{method: "POST", path: layersAt, body: `{"maxWidth":640.5}`}.with(json...), 200},
		"size in tens":       {call{method: "POST", path: layersAt, body: `{"maxWidth":64e1}`}.with(json...), 200},
		"huge size":          {call{method: "POST", path: layersAt, body: `{"maxWidth":1e9}`}.with(json...), 422},
		"negative size":      {call{method: "POST", path: layersAt, body: `{"maxHeight":-1}`}.with(json...), 422},
		"of a broadcaster":   {call{method: "POST", path: whip, body: `{}`}.with(json...), 404},
		// The session was opened without a token.
		"a wrong token": {call{method: "POST", path: layersAt, body: `{}`, token: "wrong"}.with(json...), 200},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.do(test.call)
			if test.status < 300 {
				if r.StatusCode != test.status {
					t.Errorf("%d %s", r.StatusCode, r.body)
				}
				return
			}
			wantProblem(t, r, test.status)
		})
	}
	for _, path := range []string{eventsAt, stream, layersAt} {
		preflight := call{method: "OPTIONS", path: path}.with("Access-Control-Request-Method", "POST")
		r := s.do(preflight.with("Origin", "https://a.example"))
		if r.StatusCode != http.StatusOK {
			t.Errorf("OPTIONS %s: %d", path, r.StatusCode)
		}
		wantCORS(t, r)
	}
	if r := s.do(call{method: "DELETE", path: v.location}); r.StatusCode != http.StatusOK {
		t.Fatal(r.body)
	}
	for _, path := range []string{eventsAt, layersAt} {
		wantProblem(t, s.say(path, `{}`), 404)
	}
}

func TestEventStreamsOfASession(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.tellEvery = 10 * time.Millisecond })
	b := s.layered("cats")
	v, eventsAt, _ := s.watching("cats")
	var list []string
	for range maxStreams {
		list = append(list, s.ask(eventsAt, `["active","inactive"]`))
	}
	wantProblem(t, s.do(call{method: "POST", path: eventsAt}), 429)

	first := s.events(list[0], "")
	first.until("active")
	second := s.events(list[0], "") // takes its place
	if name, data := first.next(); name != "" {
		t.Errorf("the first reader gets %s %s", name, data)
	}
	second.until("active")

	if r := s.do(call{method: "DELETE", path: list[0]}); r.StatusCode != http.StatusOK {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	if name, data := second.next(); name != "" {
		t.Errorf("%s %s after DELETE", name, data)
	}
	wantProblem(t, s.do(call{method: "GET", path: list[0]}), 404)
	wantProblem(t, s.do(call{method: "DELETE", path: list[0]}), 404)
	list[0] = s.ask(eventsAt, "") // there is room again

	third := s.events(list[1], "")
	third.until("active")
	if r := s.do(call{method: "DELETE", path: v.location}); r.StatusCode != http.StatusOK {
		t.Fatal(r.body)
	}
	if name, data := third.next(); name != "" {
		t.Errorf("%s %s after the session", name, data)
	}
	s.server.viewerEvents.sweep()
	for _, path := range list {
		wantProblem(t, s.do(call{method: "GET", path: path}), 404)
	}
	if n := len(s.server.viewerEvents.byID); n != 0 {
		t.Errorf("%d sessions are kept", n)
	}
	b.pub.Stop()
}

// Another broadcast of the stream begins for which the viewer cannot stay: it is not told that it gets a picture.
func TestEventsEndWithTheSession(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.hub.KeepViewers(time.Minute)
	b := s.layered("cats")
	v, eventsAt, _ := s.watching("cats")
	e := s.events(s.ask(eventsAt, `["active","inactive"]`), "")
	e.until("active")
	b.pub.Stop()
	e.until("inactive")
	pub, err := s.hub.Publish("cats", "test", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}},
	})
	s.must(err)
	testutil.Eventually(t, "the session is over", func() bool {
		return s.do(call{method: "GET", path: v.location + "/layers"}).StatusCode == http.StatusNotFound
	})
	s.must(pub.Writers()[0].Write(1, 3000, true, vp8Frame(true, 1280, 720), time.Now()))
	if name, data := e.next(); name != "" {
		t.Errorf("%s %s after the session", name, data)
	}
}

func TestEventsAreResumed(t *testing.T) {
	t.Parallel()
	s := start(t)
	b := s.layered("cats")
	_, eventsAt, _ := s.watching("cats")
	b.stop()
	b.pub.Interrupt()
	location := s.ask(eventsAt, `["inactive","active"]`)
	e := s.events(location, "")
	w := b.pub.Writers()[0]
	next := int64(1 << 20)
	live := func() {
		next++
		s.must(w.Write(next, 3000*next, true, vp8Frame(true, 1280, 720), time.Now()))
	}
	live()
	if name, _ := e.next(); name != "active" { // and not that it was inactive before
		t.Errorf("the first event is %s", name)
	}
	e.close()
	resumed := func(last string) *events {
		t.Helper()
		return s.eventsAfter(location, last)
	}
	b.pub.Interrupt()
	if name, _ := resumed("1").next(); name != "inactive" {
		t.Errorf("what came in between is %s", name)
	}
	e = resumed("2")
	live()
	if name, _ := e.next(); name != "active" {
		t.Errorf("a known event is told again: %s", name)
	}
	for _, last := range []string{"", "-1", "junk", "99999999999999999999", "77"} {
		if name, _ := resumed(last).next(); name != "active" {
			t.Errorf("after %q comes %s", last, name)
		}
	}
}

func (s *site) eventsAfter(path, last string) *events {
	s.t.Helper()
	before := s.client.Transport
	defer func() { s.client.Transport = before }()
	s.client.Transport = withHeader{"Last-Event-ID", last, before}
	return s.events(path, "")
}

type withHeader struct {
	name, value string
	next        http.RoundTripper
}

func (w withHeader) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set(w.name, w.value)
	return w.next.RoundTrip(r)
}

// TestSlowReadersKeepNothing has nobody read while everything changes.
func TestSlowReadersKeepNothing(t *testing.T) {
	v := newViewerStreams(nil, nil, 1, 0, new(eventLog))
	v.alive = func(siaran.SessionID) bool { return true }
	e, err := v.open("s", "cats", eventNames)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10_000 {
		e.tellStatus(i%2 == 0)
		e.tell("viewercount", "viewercount", map[string]int{"viewercount": i}, nil)
		e.tell("viewing", "viewing", viewingView{Target: 1000 << (i % 10)}, similarViewing)
	}
	text := string(e.since(0))
	if len(e.told) != 3 || strings.Count(text, "\ndata: ") != 3 || strings.Contains(text, "event: active") {
		t.Errorf("%d kinds are kept, and sent is\n%s", len(e.told), text)
	}
	if want := fmt.Sprintf("id: %d\n", e.last); !strings.Contains(text, want) {
		t.Errorf("no %q in\n%s", want, text)
	}
}

// TestChangesOfMind changes a choice faster than a person can.
func TestChangesOfMind(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.tellEvery = 20 * time.Millisecond },
		func(c *Config) { c.Limits.Session = Rate{2, 100} }) // however slow the machine is
	s.layered("cats")
	other := s.viewer()
	other.mustOpen("/whep/cats", "")
	_, eventsAt, layersAt := s.watching("cats")
	e := s.events(s.ask(eventsAt, `["viewing"]`), "")
	limited := 0
	for i := range 300 {
		body := fmt.Sprintf(`{"rid":%q}`, []string{"h", "m", "l"}[i%3])
		switch r := s.say(layersAt, body); r.StatusCode {
		case http.StatusOK:
		case http.StatusTooManyRequests:
			limited++
		default:
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	if limited == 0 {
		t.Error("nothing limits how often a viewer changes its mind")
	}
	testutil.Eventually(t, "the last word counts", func() bool { return s.say(layersAt, `{"rid":"l"}`).StatusCode == 200 })
	e.until("viewing", `"rid":"l"`, `"reason":"chosen"`)
	seen := other.packets.Load()
	testutil.Eventually(t, "the other viewer goes on", func() bool { return other.packets.Load() > seen+20 })
}

func TestReadersAreLimited(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Watchers = 2 })
	s.layered("cats")
	_, eventsAt, _ := s.watching("cats")
	for range 2 {
		s.events(s.ask(eventsAt, ""), "").until("active")
	}
	wantProblem(t, s.do(call{method: "GET", path: s.ask(eventsAt, "")}), 503)
}

// TestReconnectBeforeAMove: a viewer whom a drain is about to send away is told so, and no other.
func TestReconnectBeforeAMove(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.layered("cats")
	moved, eventsAt, _ := s.watching("cats")
	_, othersAt, _ := s.watching("cats")
	e, others := s.events(s.ask(eventsAt, `["reconnect"]`), ""), s.events(s.ask(othersAt, `["reconnect"]`), "")
	s.server.Moving(siaran.SessionID(path.Base(moved.location)))
	if name, data := e.next(); name != "reconnect" || data != `{"within":0}` {
		t.Errorf("%s %s", name, data)
	}
	s.server.Leave()
	if name, data := others.next(); name != "reconnect" || data == `{"within":0}` {
		t.Errorf("%s %s", name, data)
	}
}

func TestReconnectAtTheServersEnd(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.layered("cats")
	_, eventsAt, _ := s.watching("cats")
	e := s.events(s.ask(eventsAt, `["reconnect"]`), "")
	feed := s.events("/api/streams/events?stream=cats", "")
	feed.until("snapshot")
	s.server.Leave()
	for _, e := range []*events{e, feed} {
		e.expect("reconnect", fmt.Sprintf(`{"within":%d}`, 2*s.server.liveFeed.joinTime.Milliseconds()))
		if name, data := e.next(); name != "" {
			t.Errorf("%s %s after the end", name, data)
		}
	}
	for _, path := range []string{"/api/streams", "/api/streams/cats", "/api/streams/events"} {
		res := s.do(call{method: "GET", path: path})
		if wantProblem(t, res, 503); res.Header.Get("Retry-After") != "1" {
			t.Errorf("%s: %v", path, res.Header)
		}
	}
}
