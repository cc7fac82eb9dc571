package web

import (
	"bufio"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/labstack/echo/v4"

	"siaran"
)

// TestNoSecretInTheLog makes requests that carry secrets, and looks for these in everything logged, at every level.
func TestNoSecretInTheLog(t *testing.T) {
	t.Parallel()
	s := start(t)
	cats := s.publisher("cats")
	b := s.onAir("cats", cats)
	v := s.viewer()
	v.mustOpen("/whep/cats?token="+cats, "")
	session := func(p *peer) string { return p.location[strings.LastIndex(p.location, "/")+1:] }
	for _, c := range []call{
		{method: "GET", path: "/whip?token=" + cats},
		{method: "GET", path: "/whip/" + cats},
		{method: "POST", path: "/whip/" + cats, token: cats},
		{method: "GET", path: "/" + cats},
		{method: "GET", path: b.location + "/more"},
		{method: "PUT", path: b.location},
		{method: "GET", path: b.location, token: cats},
		{method: "PATCH", path: v.location, token: cats},
		{method: "GET", path: "/studio?token=" + cats},
		{method: "GET", path: "/static/" + cats},
		{method: "GET", path: "/watch/" + cats},
		{method: "GET", path: "/api/streams/cats/viewers/" + cats},
		{method: "DELETE", path: v.location},
		{method: "DELETE", path: b.location, token: cats},
	} {
		s.do(c)
	}
	log := s.log.String()
	for what, secret := range map[string]string{"token": cats, "broadcaster's session": session(b),
		"viewer's session": session(v), "admin token": s.admin} {
		if len(secret) < 20 || strings.Contains(log, secret) || strings.Contains(log, secret[:20]) {
			t.Errorf("the %s is in the log", what)
		}
	}
	for _, want := range []string{"path=/whip/cats/" + session(b)[:6] + "…", "path=/whep/cats ", "path=(unknown)",
		`path="/watch/(no name)"`} {
		if !strings.Contains(log, want) {
			t.Errorf("%q is not in the log", want)
		}
	}
}

func TestPanicIsNotShown(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) {
		s.get("/panic", func(echo.Context) error { panic("secret detail") })
	})
	if r := s.do(call{method: "GET", path: "/panic"}); strings.Contains(r.body, "secret") {
		t.Error(r.body)
	} else {
		wantProblem(t, r, 500)
	}
	if !strings.Contains(s.log.String(), "secret detail") {
		t.Error("the panic is not in the log")
	}
}

// raw sends bytes and returns the status line of the answer, or "" if the connection is closed.
func (s *site) raw(text string) string {
	s.t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	s.must(err)
	defer conn.Close()
	s.must(conn.SetDeadline(time.Now().Add(testutil.Patience)))
	_, err = io.WriteString(conn, text)
	s.must(err)
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil && err != io.EOF {
		s.t.Fatalf("the connection stays open: %v", err)
	}
	return strings.TrimSpace(line)
}

// TestSlowRequests: they do not hold a connection for long.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) {
		s.http.ReadHeaderTimeout, s.http.ReadTimeout = 4*time.Second, 6*time.Second
		s.http.IdleTimeout = 4 * time.Second
		s.bodyTime = 2 * time.Second
	})
	head := func(path, contentType string) string {
		return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: %s\r\n"+
			"Content-Length: 100\r\n\r\nv=0\r\n", path, s.admin, contentType)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"nothing":       {"", ""},
		"half a header": {"GET / HTTP/1.1\r\nHost:", ""},
		"half an offer": {head("/whip/cats", mimeSDP), "HTTP/1.1 408 Request Timeout"},
		"half of JSON":  {head("/api/streams/cats/keys", "application/json"), "HTTP/1.1 408 Request Timeout"},
		"large header": {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 64<<10) + "\r\n\r\n",
			"HTTP/1.1 431 Request Header Fields Too Large"},
		"no HTTP": {"\x16\x03\x01\x02\x00", "HTTP/1.1 400 Bad Request"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := s.raw(tt.text); got != tt.want && !(name == "no HTTP" && got == "") {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestDrain: when the server ends, running requests finish, event streams are closed and new ones are refused.
func TestDrain(t *testing.T) {
	t.Parallel()
	entered, finish := make(chan struct{}), make(chan struct{})
	s := startTweaked(t, func(server *Server) {
		server.get("/slow", func(c echo.Context) error {
			close(entered)
			<-finish
			return c.NoContent(http.StatusTeapot)
		})
	}, func(c *Config) { c.DrainTimeout = testutil.Patience })
	e := s.events("/api/streams/events", "")
	e.expect("snapshot", "")
	slow := make(chan int, 1)
	go func() { slow <- s.do(call{method: "GET", path: "/slow"}).StatusCode }()
	<-entered
	s.stopServing()
	e.expect("reconnect", `{"within":0}`)
	if name, _ := e.next(); name != "" {
		t.Errorf("event %s", name)
	}
	testutil.Eventually(t, "it is draining", func() bool { return s.server.leaving.Load() })
	close(finish)
	if got := <-slow; got != http.StatusTeapot {
		t.Errorf("the running request got %d", got)
	}
}

// TestDrainIsBounded: a request that does not end is cut off.
func TestDrainIsBounded(t *testing.T) {
	t.Parallel()
	finish := make(chan struct{})
	entered := make(chan struct{})
	s := startTweaked(t, func(server *Server) {
		server.get("/stuck", func(c echo.Context) error {
			close(entered)
			<-finish
			return nil
		})
	}, func(c *Config) { c.DrainTimeout = 50 * time.Millisecond })
	failed := make(chan error, 1)
	go func() {
		resp, err := s.client.Get(s.url + "/stuck")
		if err == nil {
			resp.Body.Close()
		}
		failed <- err
	}()
	<-entered
	s.stopServing()
	if err := <-failed; err == nil {
		t.Error("the request was not cut off")
	}
	close(finish)
}

func TestRequestsWhileDraining(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.server.leaving.Store(true)
	wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: s.admin, body: "x"}.with(sdpBody...)), 503)
	wantProblem(t, s.do(call{method: "POST", path: "/whep/cats", body: "x"}.with(sdpBody...)), 503)
	wantProblem(t, s.do(call{method: "GET", path: "/readyz"}), 503)
}

func TestPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	for path, want := range map[string]struct{ ancestors, camera string }{
		"/":            {"'none'", "camera=()"},
		"/studio":      {"'none'", "camera=(self)"},
		"/watch/cats":  {"'none'", "camera=()"},
		"/embed/cats":  {"*", "camera=()"},
		"/watch/never": {"'none'", "camera=()"},
	} {
		r := s.do(call{method: "GET", path: path})
		policy := r.Header.Get("Content-Security-Policy")
		if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.HasSuffix(policy, "frame-ancestors "+want.ancestors) {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "script-src 'self';") ||
			!strings.Contains(policy, "connect-src 'self';") {
			t.Errorf("%s: policy %s", path, policy)
		}
		if !strings.HasPrefix(r.Header.Get("Permissions-Policy"), want.camera) || r.Header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v", path, r.Header)
		}
		if again := s.do(call{method: "GET", path: path}.with("If-None-Match",
			r.Header.Get("ETag"))); again.StatusCode != 304 {
			t.Errorf("%s: again %d", path, again.StatusCode)
		}
		// The policy would break what is inline.
		inlined := regexp.MustCompile(`(?i)<script(?:[^>]*)>\s*[^<\s]|<style|\sstyle="|\son[a-z]+="`)
		if inline := inlined.FindString(r.body); inline != "" {
			t.Errorf("%s: inline script or style: %q", path, inline)
		}
		// What a page asks for must be there.
		for _, ref := range regexp.MustCompile(`(?:src|href)="(/[^"#]*)"`).FindAllStringSubmatch(r.body, -1) {
			if got := s.do(call{method: "GET", path: ref[1]}); got.StatusCode != 200 {
				t.Errorf("%s refers to %s: %d", path, ref[1], got.StatusCode)
			}
		}
	}
	if r := s.do(call{method: "GET", path: "/favicon.ico"}); r.StatusCode != 200 ||
		!strings.HasPrefix(r.Header.Get("Content-Type"), "image/") {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// TestMissingPage: for a wrong address, people get a page and programs a problem.
func TestMissingPage(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, path := range []string{"/watch/BAD", "/embed/-x", "/nothing"} {
		r := s.do(call{method: "GET", path: path}.with("Accept", "text/html,*/*;q=0.8"))
		if r.StatusCode != 404 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" ||
			!strings.Contains(r.body, "missing.js") {
			t.Errorf("%s: %d %v", path, r.StatusCode, r.Header)
		}
		for _, ref := range regexp.MustCompile(`(?:src|href)="(/[^"#]*)"`).FindAllStringSubmatch(r.body, -1) {
			if got := s.do(call{method: "GET", path: ref[1]}); got.StatusCode != 200 {
				t.Errorf("%s refers to %s: %d", path, ref[1], got.StatusCode)
			}
		}
		wantProblem(t, s.do(call{method: "GET", path: path}), 404)
	}
	for _, path := range []string{"/api/nothing", "/whep/BAD", "/static/nothing.js"} {
		wantProblem(t, s.do(call{method: "GET", path: path}.with("Accept", "text/html")), 404)
	}
}

// TestTitleInTheHead: previews of links show the title of a public stream, and nothing in it is taken for markup.
func TestTitleInTheHead(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must2(s.listing.Edit(t.Context(), "cats", siaran.StreamEdit{Title: new(`Cats </title><script>alert("1")`),
		Description: new(`"two"`)}))
	s.must2(s.listing.Edit(t.Context(), "hidden",
		siaran.StreamEdit{Title: new("Secret"), Visibility: new(siaran.VisibilityPrivate)}))
	r := s.do(call{method: "GET", path: "/watch/cats"})
	for _, want := range []string{
		`<title>Cats &lt;/title&gt;&lt;script&gt;alert(&#34;1&#34;) · Siaran</title>`,
		`<meta property="og:title" content="Cats &lt;/title&gt;&lt;script&gt;alert(&#34;1&#34;)">`,
		`<meta property="og:description" content="&#34;two&#34;">`,
	} {
		if !strings.Contains(r.body, want) {
			t.Errorf("%s is not in\n%s", want, r.body)
		}
	}
	plain := s.do(call{method: "GET", path: "/watch/hidden"})
	if strings.Contains(plain.body, "Secret") || plain.Header.Get("ETag") == r.Header.Get("ETag") ||
		plain.body != s.do(call{method: "GET", path: "/watch/never"}).body {
		t.Error("the page of a private stream is not as that of any other")
	}
}

// TestPageOfWhatIsLive: it tells its player, which makes its offer at once, but not for a private stream.
func TestPageOfWhatIsLive(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.must2(s.listing.Edit(t.Context(), "hidden", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	cats := s.live("cats")
	s.live("hidden")
	for path, live := range map[string]bool{"/watch/cats": true, "/embed/cats": true, "/watch/hidden": false,
		"/watch/dogs": false} {
		if r := s.do(call{method: "GET", path: path}); strings.Contains(r.body, "<siaran-player live ") != live {
			t.Errorf("%s, live %v:\n%s", path, live, r.body)
		}
	}
	before := s.do(call{method: "GET", path: "/watch/cats"})
	cats.Stop()
	s.listed("cats", siaran.StatusOffline)
	after := s.do(call{method: "GET", path: "/watch/cats"}.with("If-None-Match", before.Header.Get("ETag")))
	if after.StatusCode != 200 || strings.Contains(after.body, "<siaran-player live ") {
		t.Errorf("%d after its end:\n%s", after.StatusCode, after.body)
	}
}

func TestCompressedPages(t *testing.T) {
	t.Parallel()
	s := start(t)
	plain := s.do(call{method: "GET", path: "/static/css/base.css"}.with("Accept-Encoding", "br, gzip;q=0"))
	packed := s.do(call{method: "GET", path: "/static/css/base.css"}.with("Accept-Encoding", "br, GZIP"))
	if packed.Header.Get("Content-Encoding") != "gzip" || plain.Header.Get("Content-Encoding") != "" ||
		packed.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Errorf("%v\n%v", plain.Header, packed.Header)
	}
	if !slices.Contains(packed.Header.Values("Vary"), "Accept-Encoding") ||
		!slices.Contains(plain.Header.Values("Vary"), "Accept-Encoding") {
		t.Error("no Vary")
	}
	z, err := gzip.NewReader(strings.NewReader(packed.body))
	s.must(err)
	body, err := io.ReadAll(z)
	s.must(err)
	if string(body) != plain.body || len(packed.body) >= len(plain.body) {
		t.Errorf("%d bytes, %d in gzip", len(plain.body), len(packed.body))
	}
	if r := s.do(call{method: "GET", path: "/static/css/base.css"}.with("Accept-Encoding", "gzip", "If-None-Match",
		packed.Header.Get("ETag"))); r.StatusCode != 304 {
		t.Errorf("%d", r.StatusCode)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := New(Config{}); err == nil {
		t.Error("an empty configuration was taken")
	}
	s := start(t)
	for _, base := range []string{"live.example.org", "ftp://x", "https://", "https://x/?a=b", "https://x/#a",
		"https://x/live", ":"} {
		cfg := s.server.cfg
		cfg.BaseURL = base
		if _, err := New(cfg); err == nil {
			t.Errorf("base URL %q was taken", base)
		}
	}
}

func TestAddressBehindAProxy(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		trusted []netip.Prefix
		want    string
	}{
		"nobody is believed": {nil, "127.0.0.1"},
		"loopback is":        {[]netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, "192.0.2.7"},
		"another is":         {[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, "127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *Config) { c.TrustedProxies = tt.trusted })
			s.do(call{method: "GET", path: "/healthz"}.with("X-Forwarded-For", "192.0.2.7"))
			if log := s.log.String(); !strings.Contains(log, "from="+tt.want) {
				t.Error(log)
			}
		})
	}
}

// TestManyViewersAtOnce: 300 viewers that come from one address within a second are all let in.
func TestManyViewersAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Joins = 1000 })
	s.live("cats")
	body := offer(t, "whep-chromium")
	s.client.Transport.(checking).MaxIdleConnsPerHost = 32
	statuses := make(chan int, 300)
	for range 20 {
		go func() {
			for range 15 {
				statuses <- s.do(call{method: "POST", path: "/whep/cats", body: body}.with(sdpBody...)).StatusCode
			}
		}()
	}
	for range cap(statuses) {
		if got := <-statuses; got != 201 {
			t.Fatalf("%d", got)
		}
	}
}

// TestNobodyWaitsForTheAnswer: a session ends if its client has left before the answer.
func TestNobodyWaitsForTheAnswer(t *testing.T) {
	t.Parallel()
	slow := &slowSessions{entered: make(chan struct{}), ended: make(chan siaran.SessionID, 1)}
	s := start(t, func(c *Config) { c.Ingest = slow })
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "POST", s.url+"/whip/cats", strings.NewReader("v=0"))
	s.must(err)
	req.Header.Set("Content-Type", mimeSDP)
	req.Header.Set("Authorization", "Bearer "+s.admin)
	go func() { <-slow.entered; cancel() }()
	if resp, err := s.client.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("%d", resp.StatusCode)
	}
	if id := <-slow.ended; id != "orphan" {
		t.Errorf("ended %s", id)
	}
}

// TestOfferIsBounded: no client is answered so late that it has given up.
func TestOfferIsBounded(t *testing.T) {
	t.Parallel()
	s := startTweaked(t, func(s *Server) { s.openTime = 50 * time.Millisecond },
		func(c *Config) { c.Ingest = stuckSessions{} })
	wantProblem(t, s.do(call{method: "POST", path: "/whip/cats", token: s.admin, body: "v=0"}.with(sdpBody...)), 503)
}

// stuckSessions never answers.
type stuckSessions struct{ Sessions }

func (stuckSessions) Offer(ctx context.Context, _ siaran.StreamName, _ string, _ netip.Addr,
	_ []byte) (siaran.Answer, error) {
	<-ctx.Done()
	return siaran.Answer{}, ctx.Err()
}

// slowSessions answers only when the client has left.
type slowSessions struct {
	Sessions
	entered chan struct{}
	ended   chan siaran.SessionID
}

func (s *slowSessions) Offer(ctx context.Context, _ siaran.StreamName, _ string, _ netip.Addr,
	_ []byte) (siaran.Answer, error) {
	close(s.entered)
	<-ctx.Done()
	return siaran.Answer{Session: "orphan"}, nil
}

func (s *slowSessions) End(id siaran.SessionID) error {
	s.ended <- id
	return nil
}
