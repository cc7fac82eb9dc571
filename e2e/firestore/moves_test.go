package firestore

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/web/access"
)

// TestBroadcasterMoves kills the server that has the broadcaster of a private stream. The broadcaster comes to an edge,
// and later to another one while that one lives. Each time the broadcast goes on, and no viewer loses its session.
func TestBroadcasterMoves(t *testing.T) {
	t.Parallel()
	secret := sharedSecret(t)
	on, project := harness.UseFirestore(t)
	node := func(name string) *harness.Server {
		return harness.Start(t, on(name), func(c *server.Config) { c.SecretFile = []string{secret} })
	}
	one, two := node("one"), node("two")
	origin := clusterProcess(t, project, secret, "--node=origin")
	own, strangers := one.Token(t, "cats", access.Publish), one.Token(t, "cats", access.Publish)
	one.Request(t, http.MethodPatch, one.URL+"/api/streams/cats", one.Admin, "application/json",
		`{"visibility":"private"}`)
	b := origin.Broadcast(t, harness.Cats, own, 25)
	link := one.Token(t, "cats", access.Watch)
	var viewers []*harness.Viewer
	for _, s := range []*harness.Server{one, two} {
		for range 3 {
			viewers = append(viewers, watchWhenKnown(t, s, served, func(c *whep.Config) { c.Token = link }))
		}
		wantRefused(t, s, "", http.StatusUnauthorized)
	}
	for _, v := range viewers {
		v.WaitPicture(b.Sent())
	}
	before := one.Stream(t, harness.Cats)

	origin.Kill(t)
	b.Vanish()
	_, err := whip.Dial(t.Context(), whip.Config{URL: one.WHIP("cats"), Token: strangers, Tracks: harness.Tracks})
	if !harness.Refused(err, http.StatusConflict) || !strings.Contains(err.Error(), "origin") {
		t.Errorf("somebody else: %v", err)
	}
	b = one.Broadcast(t, harness.Cats, own, 25)
	watched(t, viewers, b)
	harness.Eventually(t, "the list says so", func() bool {
		now := two.Stream(t, harness.Cats)
		return now.StartedAt == before.StartedAt &&
			now.Status == "live" && now.Viewers == 6
	})

	b.Vanish()
	harness.Eventually(t, "the broadcaster comes to another server", func() bool {
		s, err := whip.Dial(t.Context(), whip.Config{URL: two.WHIP("cats"), Token: own, Tracks: harness.Tracks})
		if err == nil {
			_ = s.Abandon() // the next one takes over
		}
		return err == nil
	})
	b = two.Broadcast(t, harness.Cats, own, 25)
	watched(t, viewers, b)
	harness.Eventually(t, "it is there", func() bool {
		now := one.Stream(t, harness.Cats)
		return now.StartedAt == before.StartedAt && now.Viewers == 6
	})
	for _, s := range []*harness.Server{one, two} {
		if strings.Contains(s.Logs.String(), "viewer gone") {
			t.Error("a viewer was sent away")
		}
	}
}

// watched waits until all viewers have a picture of a broadcaster that has just come, and logs how long it took.
func watched(t *testing.T, viewers []*harness.Viewer, b *harness.Broadcaster) {
	t.Helper()
	first := b.FirstMedia()
	var last time.Duration
	for _, v := range viewers {
		last = max(last, v.WaitKeyframe(first).Sub(first))
		select {
		case <-v.Session.Lost():
			t.Error("a viewer has lost its session")
		default:
		}
	}
	t.Logf("all have a picture %v after the first key frame", last.Round(time.Millisecond))
}

func wantRefused(t *testing.T, s *harness.Server, token string, status int) {
	t.Helper()
	_, err := s.TryWatch(t, harness.Cats, served, func(c *whep.Config) { c.Token = token })
	if !harness.Refused(err, status) {
		t.Errorf("watching: %v, want %d", err, status)
	}
}
