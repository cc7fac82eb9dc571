package web

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"testing"

	"github.com/labstack/echo/v4"

	"siaran"
)

// from is a request of a client.
func from(ip string) echo.Context {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = netip.AddrPortFrom(netip.MustParseAddr(ip), 4000).String()
	e := echo.New()
	e.IPExtractor = echo.ExtractIPDirect()
	return e.NewContext(r, httptest.NewRecorder())
}

func TestLimitBySource(t *testing.T) {
	t.Parallel()
	for _, clients := range [][3]string{ // of one source, of one network, and another
		{"192.0.2.1", "192.0.2.%d", "198.51.100.1"},
		{"2001:db8::ffff:1", "2001:db8:0:%x::1", "2001:db8:1::1"},
	} {
		l := newSourceLimiter(Rate{0.001, 10})
		times := func(client func(i int) string) (n int) {
			for i := range 50 {
				if l.take(from(client(i))) == nil {
					n++
				}
			}
			return n
		}
		if n := times(func(int) string { return clients[0] }); n != 10 {
			t.Errorf("%s: %d times", clients[0], n)
		}
		if n := times(func(i int) string { return fmt.Sprintf(clients[1], i+2) }); n != 10 {
			t.Errorf("its neighbours: %d times, after 10 of its own", n)
		}
		if n := times(func(int) string { return clients[2] }); n != 10 {
			t.Errorf("another network: %d times", n)
		}
	}
}

// TestManyKeys: more keys than there are buckets do not get anybody more, and known keys keep what they have.
func TestManyKeys(t *testing.T) {
	t.Parallel()
	l := newLimiter(Rate{0.001, 2})
	take := func(key string, want bool) {
		t.Helper()
		if got := l.take(key) == nil; got != want {
			t.Fatalf("%s: %v", key, got)
		}
	}
	for i := range maxBuckets {
		take(strconv.Itoa(i), true)
	}
	for i, want := range []bool{true, true, false, false} {
		take("new"+strconv.Itoa(i), want)
	}
	take("0", true)
	take("0", false)
	if len(l.buckets) != maxBuckets || l.recent.Len() != maxBuckets {
		t.Errorf("%d buckets", len(l.buckets))
	}
	quick := newLimiter(Rate{1e9, 1}) // full again at once: each is forgotten with the next
	for i := range 100 {
		if err := quick.take(strconv.Itoa(i)); err != nil {
			t.Fatal(err)
		}
	}
	if len(quick.buckets) > 2 || quick.recent.Len() != len(quick.buckets) {
		t.Errorf("%d buckets", len(quick.buckets))
	}
}

// TestLargeOffersCountMore: reading one costs as much as answering several small ones.
func TestLargeOffersCountMore(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Limits.Watch = Rate{0.001, 20} })
	post := func(size int) call {
		return call{method: "POST", path: "/whep/cats", body: fmt.Sprintf("%*s", size, "v=0\r\n")}.with(sdpBody...)
	}
	wantProblem(t, s.do(post(100)), 409)
	wantProblem(t, s.do(post(16*offerUnit)), 409) // 17
	wantProblem(t, s.do(post(16*offerUnit)), 429)
	wantProblem(t, s.do(post(100)), 409)
	wantProblem(t, s.do(post(100)), 429)
}

// TestOffersWaitForTheirTurn: no more are answered at the same time than there are CPUs, and one that is not in time is
// told so.
func TestOffersWaitForTheirTurn(t *testing.T) {
	t.Parallel()
	s := start(t)
	p := s.server.whep()
	for range cap(p.slots) {
		p.slots <- struct{}{}
	}
	ctx := t.Context()
	done := make(chan error, 1)
	go func() {
		g := grant{stream: siaran.Stream{Name: "cats"}}
		_, err := s.server.answer(ctx, from("192.0.2.1"), p, g, []byte("v=0"))
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	default:
	}
	<-p.slots
	if err := <-done; err == nil {
		t.Error("answered")
	}
	if len(p.slots) != cap(p.slots)-1 {
		t.Errorf("%d places are taken", len(p.slots))
	}
}

// TestWhoIsCounted: not this machine itself, and not a proxy that does not name its client.
func TestWhoIsCounted(t *testing.T) {
	t.Parallel()
	s := &Server{cfg: Config{TrustedProxies: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16"),
		netip.MustParsePrefix("2001:db8:1::/64")}}}
	for ip, want := range map[string]bool{
		"192.0.2.1": true, "2001:db8::1": true, "10.2.0.1": true, "::ffff:10.1.0.1": false,
		"10.1.2.3": false, "2001:db8:1::2": false, "127.0.0.1": false, "127.0.0.9": false,
		"::1": false, "::ffff:127.0.0.1": false,
	} {
		if got := s.client(from(ip)).IsValid(); got != want {
			t.Errorf("%s: %v", ip, got)
		}
	}
}

// TestSessionsOfOneSource: sessions are told the client's address, and a client that has its share already gets 429.
func TestSessionsOfOneSource(t *testing.T) {
	t.Parallel()
	var asked []netip.Addr
	s := start(t, func(c *Config) {
		c.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
		c.Egress = fullFor{c.Egress, &asked}
	})
	s.broadcast("cats", siaran.VP8, recorded(t, "vp8"))
	post := call{method: "POST", path: "/whep/cats", body: offer(t, "whep-chromium")}.with(sdpBody...)
	r := s.do(post.with("X-Forwarded-For", "192.0.2.7"))
	wantProblem(t, r, http.StatusTooManyRequests)
	if r.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	wantProblem(t, s.do(post), http.StatusTooManyRequests)
	if len(asked) != 2 || asked[0] != netip.MustParseAddr("192.0.2.7") || asked[1].IsValid() {
		t.Errorf("asked for %v", asked)
	}
}

// fullFor refuses everybody.
type fullFor struct {
	Viewers
	asked *[]netip.Addr
}

func (f fullFor) Offer(_ context.Context, _ siaran.StreamName, _ string, from netip.Addr,
	_ []byte) (siaran.Answer, error) {
	*f.asked = append(*f.asked, from)
	return siaran.Answer{}, siaran.ErrShare
}
