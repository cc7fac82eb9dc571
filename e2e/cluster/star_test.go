package cluster

import (
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran/e2e/harness"
)

// TestFirstViewersMakeOnePull has fifty viewers ask at once for what nobody has asked for before.
func TestFirstViewersMakeOnePull(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	edge := node(t, "edge", secret, below(origin.URL))
	harness.GoLive(t, origin)
	var coming sync.WaitGroup
	var late atomic.Int32 // of the viewers, on a machine that takes more than three seconds for it
	for range 50 {
		coming.Go(func() {
			for {
				r := offer(t, edge, harness.Cats, "")
				if r.StatusCode != http.StatusServiceUnavailable {
					wantStatus(t, "a viewer", r, http.StatusCreated)
					return
				}
				late.Add(1)
			}
		})
	}
	coming.Wait()
	if n := lines(edge, "pulling from the parent"); n != 1 && late.Load() == 0 {
		t.Errorf("the edge pulls %d times", n)
	}
	if n := lines(origin, "path=/whep/cats"); n != 1 && late.Load() == 0 {
		t.Errorf("the origin gets %d offers", n)
	}
}

// TestStar has an origin and two edges: viewers who come at once make one pull at each, the origin sends each the
// stream once, and counts all viewers.
func TestStar(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	path := origin.ThinPath(t, 1e9, time.Second, 0)
	alone := origin.ThinPath(t, 1e9, time.Second, 0)
	one := node(t, "one", secret, below(path.URL))
	two := node(t, "two", secret, below(origin.URL))
	waiting := one.FollowEvents(t)
	b := harness.GoLive(t, origin)
	waiting.Wait("a page that waits at an edge hears of it", func(lives map[string]harness.Stream) bool {
		return lives["cats"].Status == "live"
	})

	viewers := append(watchAll(t, one, 3), watchAll(t, two, 3)...)
	single := &harness.Server{URL: alone.URL}
	direct := single.Watch(t, harness.Cats)
	for _, v := range append(viewers, direct) {
		v.WaitFrame(b.Sent())
	}
	for _, s := range []*harness.Server{one, two} {
		if n := lines(s, "pulling from the parent"); n < 1 || n > 1+ended(s) {
			t.Errorf("%s pulls %d times", s.Config.Node, n)
		}
	}
	if n := lines(origin, "child connected"); n < 2 || n > 2+ended(one, two) {
		t.Errorf("the origin has %d children", n)
	}
	harness.Eventually(t, "all viewers count everywhere", func() bool {
		for _, s := range []*harness.Server{origin, one, two} {
			if s.Stream(t, harness.Cats).Viewers != 7 {
				return false
			}
		}
		return true
	})

	path.Report()
	alone.Report()
	viewers[0].WaitFrame(b.Sent() + 75)
	pulled, watched, share := 0, 0, 0.0
	// The two begin and end at nearly the same time, and one has been padded. On a busy machine one lags behind, which
	// matters the less the more has passed. Three viewers' packets would be three times as much.
	harness.Eventually(t, "the stream goes to the edge once", func() bool {
		_, more, _ := path.Report()
		pulled += more
		_, more, _ = alone.Report()
		watched += more
		share = float64(pulled) / float64(max(watched, 1))
		return share > 0.5 && share < 1.5
	})
	t.Logf("%.3f times the stream goes to an edge", share)
	if err := viewers[0].CheckContinuous(); err != nil && ended(one) == 0 {
		t.Error(err)
	}
	for _, v := range viewers[:3] {
		v.Leave()
	}
	harness.Eventually(t, "who has left does not count", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 4
	})
	b.Stop()
	harness.Eventually(t, "the end is known at an edge", func() bool {
		return two.Stream(t, harness.Cats).Status == "offline"
	})
}
