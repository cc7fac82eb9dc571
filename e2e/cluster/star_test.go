package cluster

import (
	"testing"
	"time"

	"siaran/e2e/harness"
)

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
	b := harness.GoLive(t, origin)
	one.WaitListed(t, harness.Cats)

	viewers := append(watchAll(t, one, 25), watchAll(t, two, 25)...)
	single := &harness.Server{URL: alone.URL}
	direct := single.Watch(t, harness.Cats)
	for _, v := range append(viewers, direct) {
		v.WaitFrame(b.Sent())
	}
	for _, s := range []*harness.Server{one, two} {
		if n := lines(s, "pulling from the parent"); n != 1 {
			t.Errorf("%s pulls %d times", s.Config.Node, n)
		}
	}
	if n := lines(origin, "child connected"); n != 2 {
		t.Errorf("the origin has %d children", n)
	}
	harness.Eventually(t, "all viewers count everywhere", func() bool {
		for _, s := range []*harness.Server{origin, one, two} {
			if s.Stream(t, harness.Cats).Viewers != 51 {
				return false
			}
		}
		return true
	})

	path.Report()
	alone.Report()
	viewers[0].WaitFrame(b.Sent() + 75)
	_, pulled, _ := path.Report()
	_, watched, _ := alone.Report()
	if share := float64(pulled) / float64(watched); share < 0.95 || share > 1.1 {
		t.Errorf("%d bytes go to the edge and %d to a viewer: %.3f", pulled, watched, share)
	} else {
		t.Logf("%.3f times the stream goes to an edge", share)
	}
	for _, v := range viewers {
		if err := v.CheckContinuous(); err != nil {
			t.Error(err)
		}
	}
	for _, v := range viewers[:25] {
		v.Leave()
	}
	harness.Eventually(t, "who has left does not count", func() bool {
		return origin.Stream(t, harness.Cats).Viewers == 26
	})
	b.Stop()
	harness.Eventually(t, "the end is known at an edge", func() bool {
		return two.Stream(t, harness.Cats).Status == "offline"
	})
}
