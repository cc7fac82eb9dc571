package firestore

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/internal/whip"
)

// TestWatchAtAnotherServer: an ordinary client asks one server for what is live on another.
func TestWatchAtAnotherServer(t *testing.T) {
	t.Parallel()
	on, _ := harness.UseFirestore(t)
	one, two := harness.Start(t, on("one")), harness.Start(t, on("two"))
	b := one.Broadcast(t, "cats", one.Admin, 25)
	b.WaitSent(3)
	two.WaitListed(t, "cats")
	var posts postLog
	v := two.Watch(t, "cats", func(c *whep.Config) { c.Client = &http.Client{Transport: &posts} })
	v.WaitPicture(10)
	if want := []string{two.WHEP("cats"), one.WHEP("cats") + "?redirected=1"}; !slices.Equal(posts.urls(), want) {
		t.Errorf("posted to %q, want %q", posts.urls(), want)
	}
	harness.Eventually(t, "it is counted where it watches", func() bool { return two.Stream(t, "cats").Viewers == 1 })
	v.Leave()
	harness.Eventually(t, "it has left", func() bool { return two.Stream(t, "cats").Viewers == 0 })

	_, err := whip.Dial(t.Context(), whip.Config{URL: two.WHIP("cats"), Token: two.Admin, Tracks: harness.Tracks})
	if !harness.Refused(err, http.StatusConflict) || !strings.Contains(err.Error(), "the server one ("+one.URL+")") {
		t.Errorf("publishing it at the other: %v", err)
	}
	res := two.Get(t, two.URL+"/watch/cats", "")
	if got := res.Request.URL.String(); res.StatusCode != http.StatusOK || got != one.URL+"/watch/cats?redirected=1" {
		t.Errorf("the page: %d at %s", res.StatusCode, got)
	}
}

// postLog is an http.RoundTripper that records where POST requests go.
type postLog struct {
	mu   sync.Mutex
	list []string
}

func (l *postLog) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost {
		l.mu.Lock()
		l.list = append(l.list, r.URL.String())
		l.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (l *postLog) urls() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

func (l *postLog) last(n int) []string {
	list := l.urls()
	return list[max(0, len(list)-n):]
}
