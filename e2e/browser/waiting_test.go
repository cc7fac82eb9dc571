package browser

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// counted is a site before a server that counts requests, and may hold live updates back or break off.
type counted struct {
	URL   string
	quiet atomic.Bool // live updates are refused
	cut   atomic.Bool // the next module breaks off

	mu   sync.Mutex
	said []string // method and path
}

func startCounted(t *testing.T, s *harness.Server) *counted {
	t.Helper()
	upstream, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &counted{}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(upstream) }, Transport: transport, FlushInterval: -1,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.said = append(c.said, r.Method+" "+r.URL.Path)
		c.mu.Unlock()
		if c.quiet.Load() && r.URL.Path == "/api/streams/events" {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		if strings.HasSuffix(r.URL.Path, "/session.js") && c.cut.CompareAndSwap(true, false) {
			_, _ = io.WriteString(w, "export")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
		proxy.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		site.CloseClientConnections()
		site.Close()
		transport.CloseIdleConnections()
	})
	c.URL = site.URL
	return c
}

// count is how many requests begin so.
func (c *counted) count(prefix string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, each := range c.said {
		if strings.HasPrefix(each, prefix) {
			n++
		}
	}
	return n
}

// TestPageStartsOver: what is under way breaks off when a phone changes its network, and a page whose modules are not
// all there would stay blank.
func TestPageStartsOver(t *testing.T) {
	t.Parallel()
	site := startCounted(t, harness.Start(t))
	site.cut.Store(true)
	viewer := chromium.Start(t).Open(site.URL + "/watch/later")
	viewer.WaitState("waiting")
	if n := site.count("GET /watch/later"); n != 2 || site.cut.Load() {
		t.Errorf("the page was loaded %d times", n)
	}
}

// TestWaitingAsksForNothing: while live updates come a page that waits makes no offer and looks at nothing, and comes
// when they say so; also after the end of a broadcast.
func TestWaitingAsksForNothing(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	site := startCounted(t, s)
	b := chromium.Start(t)
	viewer, bare := b.Open(site.URL+"/watch/later"), b.Open(site.URL+"/embed/later")
	viewer.WaitState("waiting")
	bare.WaitState("waiting")
	harness.Eventually(t, "both have live updates", func() bool { return site.count("GET /api/streams/events") >= 2 })
	// On a busy machine a page may ask once before the updates come.
	offers, looks := site.count("POST"), site.count("GET /api/streams/later")
	if offers > 2 || looks > 2 {
		t.Errorf("%d offers and %d looks in the beginning", offers, looks)
	}
	<-time.After(8 * time.Second) // long enough to ask again
	if n := site.count("POST") - offers; n > 0 {
		t.Errorf("%d offers while it waits", n)
	}
	if n := site.count("GET /api/streams/later") - looks; n > 0 {
		t.Errorf("it looked %d times", n)
	}
	stop := s.PublishDemo(t, "later")
	viewer.WaitMedia()
	bare.WaitMedia()
	if n := site.count("POST /whep/") - offers; n != 2 {
		t.Errorf("%d offers for two sessions", n)
	}
	stop()
	viewer.WaitState("ended")
	before := site.count("POST")
	<-time.After(6 * time.Second)
	if n := site.count("POST") - before; n > 2 { // an offer may cross the news
		t.Errorf("%d offers after the end", n)
	}
	s.PublishDemo(t, "later")
	viewer.WaitMedia()
	viewer.CheckConsole()
}

// TestWaitingWithoutLiveUpdates looks ever more seldom, and makes an offer when there is something to be had.
func TestWaitingWithoutLiveUpdates(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	site := startCounted(t, s)
	site.quiet.Store(true)
	// Its clock runs ten times as fast.
	const fast = `{ const later = window.setTimeout; window.setTimeout = (f, ms, ...rest) => later(f, ms / 10, ...rest); }`
	p := chromium.Start(t).OpenWith(fast, site.URL+"/watch/later")
	p.WaitState("waiting")
	harness.Eventually(t, "it looks", func() bool { return site.count("GET /api/streams/later") >= 3 })
	if n := site.count("POST"); n > 1 {
		t.Errorf("%d offers while it waits", n)
	}
	s.PublishDemo(t, "later")
	p.WaitMedia()
}
