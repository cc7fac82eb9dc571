package cluster

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/web/access"
)

func makePrivate(t *testing.T, s *harness.Server) {
	t.Helper()
	if code := s.Call(t, http.MethodPatch, "/api/streams/cats", s.Admin, `{"visibility":"private"}`); code != 200 {
		t.Fatal(code)
	}
}

// TestPrivate: the edge lets in whom the origin lets in, and sends away whom it sends away.
func TestPrivate(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	edge := node(t, "edge", secret, below(origin.URL))
	b := goLive(t, origin)
	edge.WaitListed(t, harness.Cats)
	stranger := edge.Watch(t, harness.Cats)
	stranger.WaitPicture(b.Sent())
	makePrivate(t, origin)
	sentAway := func(n int) func() bool { // clients notice later
		return func() bool { return lines(edge, "viewer sent away") == n }
	}
	harness.Eventually(t, "a viewer without a token goes", sentAway(1))
	with := func(token string) func(*whep.Config) { return func(c *whep.Config) { c.Token = token } }
	key, all := origin.Token(t, "cats", access.Watch), origin.Token(t, "*", access.Watch)
	guest, boss := edge.Watch(t, harness.Cats, with(key)), edge.Watch(t, harness.Cats, with(all))
	guest.WaitPicture(b.Sent())
	boss.WaitPicture(b.Sent())
	wantStatus(t, "no token", answered(t, edge, harness.Cats, ""), http.StatusUnauthorized)
	wantStatus(t, "a token for another stream", answered(t, edge, harness.Cats, origin.Token(t, "dogs", access.Watch)),
		http.StatusForbidden)
	harness.Eventually(t, "the page's question without a token is refused", func() bool {
		return edge.Get(t, edge.URL+"/api/streams/cats", "").StatusCode == http.StatusUnauthorized
	})
	harness.Eventually(t, "a change here is refused", func() bool {
		return edge.Call(t, http.MethodPatch, "/api/streams/cats", edge.Admin, `{"title":"mine"}`) == http.StatusConflict
	})
	harness.Eventually(t, "the edge lists nothing", func() bool { return len(edge.Listed(t)) == 0 })

	if code := origin.Call(t, http.MethodPost, "/api/streams/cats/keys", origin.Admin, "{}"); code != 201 {
		t.Fatal(code)
	}
	harness.Eventually(t, "a viewer with an old key goes", sentAway(2))
	wantStatus(t, "an old key", answered(t, edge, harness.Cats, key), http.StatusUnauthorized)
	boss.WaitPicture(b.Sent() + 10) // renewed keys of a stream do not concern this one
	if _, err := origin.Secret.RevokeAll(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "a viewer with an old token for all streams goes", sentAway(3))
	wantStatus(t, "an old token for all streams", answered(t, edge, harness.Cats, all), http.StatusUnauthorized)
}

// TestMadeUpNames: a stranger who asks an edge for one name after the other keeps nobody with a key waiting.
func TestMadeUpNames(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	edge := node(t, "edge", secret, below(origin.URL))
	b := goLive(t, origin)
	makePrivate(t, origin)
	var refused atomic.Int32
	var asking sync.WaitGroup
	for n := range 400 { // at once, which is more than the limit however slow the machine is
		asking.Go(func() {
			name := fmt.Sprint("made-up-", n)
			if edge.Get(t, edge.URL+"/api/streams/"+name, "").StatusCode == http.StatusTooManyRequests {
				refused.Add(1)
			}
		})
	}
	asking.Wait()
	if n, no := lines(origin, "path=/api/streams/made-up-"), int(refused.Load()); no == 0 || n+no > 400 {
		t.Errorf("%d are refused, %d come to the origin", no, n)
	}
	key := origin.Token(t, "cats", access.Watch)
	edge.Watch(t, harness.Cats, func(c *whep.Config) { c.Token = key }).WaitPicture(b.Sent())
}

// TestWithoutASecret: what is public plays, and what is private does not exist.
func TestWithoutASecret(t *testing.T) {
	t.Parallel()
	origin := node(t, "origin", "")
	edge := node(t, "edge", "", below(origin.URL))
	other := node(t, "other", secretFile(t), below(origin.URL))
	b := goLive(t, origin)
	for _, s := range []*harness.Server{edge, other} {
		s.Watch(t, harness.Cats).WaitPicture(b.Sent())
	}
	if n := lines(origin, "child connected"); n != 0 {
		t.Errorf("%d are taken for servers", n)
	}
	if n := lines(other, "the parent does not know this server"); n != 1 {
		t.Errorf("a wrong secret is told %d times", n)
	}
	makePrivate(t, origin)
	for _, s := range []*harness.Server{edge, other} {
		harness.Eventually(t, "it is gone", func() bool {
			return s.Get(t, s.URL+"/api/streams/cats", s.Admin).StatusCode == http.StatusNotFound &&
				offer(t, s, harness.Cats, s.Admin).StatusCode == http.StatusConflict
		})
	}
}
