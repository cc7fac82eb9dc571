package web

import (
	"context"
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"siaran"
	"siaran/web/access"
)

// liveAt makes a stream live on another server.
func (s *site) liveAt(stream siaran.StreamName, node siaran.Node) {
	s.t.Helper()
	now := time.Now()
	if node.LeaseUntil.IsZero() {
		node.LeaseUntil = now.Add(time.Hour)
	}
	s.must(s.listing.Renew(s.t.Context(), node))
	state := siaran.BroadcastState{ID: siaran.BroadcastID("b-" + stream), Stream: stream,
		Status: siaran.StatusLive, StartedAt: now}
	s.must(s.listing.Apply(s.t.Context(), siaran.Update{Node: node.Name, At: now,
		Changes: []siaran.Change{{State: state}}}))
}

func (s *site) visibility(stream siaran.StreamName, v siaran.Visibility) {
	s.t.Helper()
	_, err := s.listing.Edit(s.t.Context(), stream, siaran.StreamEdit{Visibility: &v})
	s.must(err)
}

func wantThere(t *testing.T, r reply, want string) {
	t.Helper()
	if r.StatusCode != http.StatusTemporaryRedirect || r.Header.Get("Location") != want ||
		r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s %s: %d to %q (%s), want 307 to %q", r.Request.Method, r.Request.URL, r.StatusCode,
			r.Header.Get("Location"), r.Header.Get("Cache-Control"), want)
	}
	wantCORS(t, r)
}

func TestLiveElsewhere(t *testing.T) {
	t.Parallel()
	s := start(t)
	there := siaran.Node{Name: "there", URL: "https://two.example/live/"}
	s.liveAt("cats", there)
	s.liveAt("secret", there)
	s.visibility("secret", siaran.VisibilityPrivate)
	s.liveAt("dogs", there)
	s.live("dogs") // here too
	s.liveAt("lost", siaran.Node{Name: "mute"})
	s.liveAt("gone", siaran.Node{Name: "dead", URL: "https://two.example", LeaseUntil: time.Now().Add(-time.Second)})
	sdp := offer(t, "whep-chromium")
	whep := func(path, token string) reply {
		t.Helper()
		return s.do(call{method: "POST", path: path, token: token, body: sdp}.with("Content-Type", mimeSDP))
	}
	page := func(path string) reply {
		t.Helper()
		return s.do(call{method: "GET", path: path})
	}

	wantThere(t, page("/watch/cats?relay=tls"), "https://two.example/live/watch/cats?relay=tls&redirected=1")
	wantThere(t, s.do(call{method: "HEAD", path: "/watch/cats"}), "https://two.example/live/watch/cats?redirected=1")
	wantThere(t, page("/embed/cats"), "https://two.example/live/embed/cats?redirected=1")
	wantThere(t, whep("/whep/cats", ""), "https://two.example/live/whep/cats?redirected=1")

	for _, path := range []string{"/watch/cats?redirected=1", "/watch/secret", "/embed/secret", "/watch/dogs",
		"/watch/lost", "/watch/gone", "/watch/unknown"} {
		if r := page(path); r.StatusCode != 200 {
			t.Errorf("%s: %d to %q", path, r.StatusCode, r.Header.Get("Location"))
		}
	}
	for _, path := range []string{"/whep/cats?redirected=1", "/whep/lost", "/whep/gone", "/whep/unknown"} {
		if r := whep(path, ""); r.StatusCode != 409 || r.Header.Get("Retry-After") == "" {
			t.Errorf("%s: %d to %q", path, r.StatusCode, r.Header.Get("Location"))
		}
	}
	if r := whep("/whep/dogs", ""); r.StatusCode != 201 {
		t.Errorf("what is live here too: %d %s", r.StatusCode, r.body)
	}
	wantProblem(t, whep("/whep/secret", ""), 401)
	wantProblem(t, whep("/whep/secret", s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Watch}})), 403)
	wantThere(t, whep("/whep/secret", s.token(access.Claims{Stream: "secret",
		Scopes: []access.Scope{access.Watch}})), "https://two.example/live/whep/secret?redirected=1")

	// A token in the address is not for the other server, nor for the logs on the way.
	watch := s.token(access.Claims{Stream: "secret", Scopes: []access.Scope{access.Watch}})
	for _, query := range []string{"token=" + watch, "a=1&token=" + watch + "&b=%20", "%74oken=" + watch,
		"token=" + watch + "&token=x&&"} {
		kept := ""
		if strings.Contains(query, "a=1") {
			kept = "a=1&b=%20&"
		}
		r := whep("/whep/secret?"+query, "")
		wantThere(t, r, "https://two.example/live/whep/secret?"+kept+"redirected=1")
		if !strings.Contains(r.body, "Authorization: Bearer") || strings.Contains(r.body, watch) {
			t.Errorf("told %q", r.body)
		}
	}
	wantThere(t, page("/watch/cats?token=x"), "https://two.example/live/watch/cats?redirected=1")

	taken := s.do(call{method: "POST", path: "/whip/cats", token: s.admin,
		body: offer(t, "whip-chromium")}.with("Content-Type", mimeSDP))
	for what, r := range map[string]reply{"publish": taken,
		"end": s.do(call{method: "DELETE", path: "/api/streams/cats/broadcast", token: s.admin})} {
		if p := wantProblem(t, r, 409); !strings.Contains(p.Detail, "the server there (https://two.example/live/)") {
			t.Errorf("%s: %q does not say where", what, p.Detail)
		}
	}
}

// TestSentOnOnce: two servers believe that the other one has the stream.
func TestSentOnOnce(t *testing.T) {
	t.Parallel()
	one, two := start(t), start(t)
	one.liveAt("cats", siaran.Node{Name: "two", URL: two.url})
	two.liveAt("cats", siaran.Node{Name: "one", URL: one.url})
	hops := 0
	client := &http.Client{Transport: one.client.Transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { hops++; return nil }}
	for what, want := range map[string]int{"/watch/cats": 200, "/embed/cats": 200, "/whep/cats": 409} {
		hops = 0
		method, body := "GET", ""
		if want == 409 {
			method, body = "POST", offer(t, "whep-chromium")
		}
		req, err := http.NewRequestWithContext(t.Context(), method, one.url+what, strings.NewReader(body))
		one.must(err)
		req.Header.Set("Content-Type", mimeSDP)
		res, err := client.Do(req)
		one.must(err)
		res.Body.Close()
		if res.StatusCode != want || hops != 1 || !strings.HasPrefix(res.Request.URL.String(), two.url) {
			t.Errorf("%s: %d after %d redirects, at %s", what, res.StatusCode, hops, res.Request.URL)
		}
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		to, host, from, base string
		secure, proxy, want  bool
	}{
		{to: "https://two.example", want: true},
		{to: "https://two.example:8443/live", want: true},
		{to: "http://two.example:8080", want: true},
		{to: "http://203.0.113.9:8080", want: true},
		{to: "http://[2001:db8::9]:8080", want: true},
		{to: ""},
		{to: "two.example"},
		{to: "//two.example"},
		{to: "javascript:alert(1)"},
		{to: "ftp://two.example"},
		{to: "https://user:password@two.example"},
		{to: "https://two.example?x=1"},
		{to: "https://two.example#x"},
		{to: "http://0.0.0.0:8080"},
		{to: "http://[::]:8080"},

		// never back to where one is
		{to: "https://one.example"},
		{to: "https://ONE.example"},
		{to: "https://one.example", host: "10.0.0.1:8080", base: "https://one.example"},

		// never down from HTTPS
		{to: "http://two.example", secure: true},
		{to: "http://two.example", base: "https://one.example"},
		{to: "https://two.example", secure: true, want: true},

		// one's own machine
		{to: "http://127.0.0.1:8081"},
		{to: "http://localhost:8081"},
		{to: "http://LOCALHOST.:8081"},
		{to: "http://[::1]:8081"},
		{to: "http://[::ffff:127.0.0.1]:8081"},
		{to: "http://127.0.0.1:8081", from: "127.0.0.1"},      // a proxy on this machine, perhaps
		{to: "http://127.0.0.1:8081", host: "127.0.0.1:8080"}, // likewise
		{to: "http://127.0.0.1:8081", host: "127.0.0.1:8080", from: "127.0.0.1", proxy: true},
		{to: "http://127.0.0.1:8081", host: "127.0.0.1:8080", from: "127.0.0.1", base: "https://one.example"},
		{to: "http://127.0.0.1:8081", host: "one.example", from: "127.0.0.1", base: "http://localhost:8080"},
		{to: "http://127.0.0.1:8081", host: "127.0.0.1:8080", from: "127.0.0.1", want: true},
		{to: "http://127.0.0.1:8081", host: "127.0.0.1:8080", from: "127.0.0.1", base: "http://localhost:8080", want: true},
		{to: "http://localhost:8081", host: "[::1]:8080", from: "[::1]", want: true},
		{to: "http://127.0.0.1:8081", host: "localhost", from: "172.17.0.1", want: true}, // a container

		// a network of one's own
		{to: "http://10.0.0.2:8080"},
		{to: "http://10.0.0.2:8080", from: "10.0.7.7", want: true},
		{to: "http://[fd00::2]:8080", from: "192.168.1.7", want: true},
		{to: "http://100.64.0.2:8080", from: "100.64.7.7", want: true},
		{to: "http://100.64.0.2:8080"},
		{to: "http://169.254.3.4:8080"},
	} {
		if c.host == "" {
			c.host = "one.example"
		}
		if c.from == "" {
			c.from = "198.51.100.7"
		}
		r := httptest.NewRequest("GET", "http://x/watch/cats", nil)
		r.Host, r.RemoteAddr = c.host, c.from+":4711"
		if c.secure {
			r.TLS = &tls.ConnectionState{}
		}
		if c.proxy {
			r.Header.Set("X-Forwarded-For", "198.51.100.7")
		}
		e := echo.New()
		e.IPExtractor = ipExtractor(nil)
		to, err := url.Parse(c.to)
		if err != nil {
			t.Fatal(err)
		}
		s := &Server{cfg: Config{BaseURL: c.base}}
		if got := s.reaches(e.NewContext(r, nil), to); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
}

// aboves is a listing whose streams are the parent's.
type aboves struct{ siaran.Listing }

func (aboves) Claim(context.Context, siaran.StreamName, string, string, int) error {
	return siaran.ErrAbove
}

// TestBroadcasterIsSentToTheParent, if it can get there.
func TestBroadcasterIsSentToTheParent(t *testing.T) {
	t.Parallel()
	for parent, reached := range map[string]bool{"https://up.example/live": true, "http://10.0.0.1:8080": false} {
		s := start(t, func(c *Config) {
			c.Listing, c.Parent, c.BaseURL = aboves{c.Listing}, parent, "https://edge.example"
		})
		token := s.token(access.Claims{Stream: "cats", Scopes: []access.Scope{access.Publish}})
		post := func(path string, header ...string) reply {
			c := call{method: "POST", path: path, token: token, body: offer(t, "whip-chromium")}
			return s.do(c.with(append(header, "Content-Type", mimeSDP)...))
		}
		if !reached {
			wantProblem(t, post("/whip/cats"), 409)
			continue
		}
		wantThere(t, post("/whip/cats"), parent+"/whip/cats?redirected=1")
		wantThere(t, post("/whip?redirected=1"), parent+"/whip?redirected=2")
		wantProblem(t, post("/whip/cats?redirected=2"), 409)
		wantProblem(t, post("/whip/cats", "Origin", "https://edge.example"), 409)
	}
}

// TestFront: the pages of streams know the address of all servers, and who comes there is sent to the server's own.
func TestFront(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.FrontURL, c.BaseURL = "https://live.example", "https://e1.example" })
	for _, path := range []string{"/watch/cats", "/embed/cats?a=1"} {
		r := s.do(call{method: "GET", path: path})
		if r.StatusCode != 200 || !strings.Contains(r.body, `<meta name="siaran-front" content="https://live.example">`) ||
			!strings.Contains(r.Header.Get("Content-Security-Policy"), "connect-src 'self' https://live.example;") {
			t.Errorf("%s: %d %v\n%s", path, r.StatusCode, r.Header, r.body)
		}
		at := func(path string) *http.Response {
			req, err := http.NewRequest(http.MethodGet, s.url+path, nil)
			s.must(err)
			req.Host = "live.example"
			res, err := s.client.Do(req)
			s.must(err)
			res.Body.Close()
			return res
		}
		mark := "?redirected=1"
		if strings.Contains(path, "?") {
			mark = "&redirected=1"
		}
		wantAt := "https://e1.example" + path + mark
		if r := at(path); r.StatusCode != 307 || r.Header.Get("Location") != wantAt {
			t.Errorf("%s at the front: %d to %q, want %q", path, r.StatusCode, r.Header.Get("Location"), wantAt)
		}
		if r := at("/watch/cats?redirected=2"); r.StatusCode != 200 {
			t.Errorf("sent on for ever: %d to %q", r.StatusCode, r.Header.Get("Location"))
		}
	}
	if r := s.do(call{method: "GET", path: "/"}); strings.Contains(r.body, "siaran-front") {
		t.Error("the dashboard goes there")
	}
}
