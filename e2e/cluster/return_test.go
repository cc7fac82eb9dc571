package cluster

import (
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestParentReturns ends the origin while viewers watch at an edge. They keep their sessions until it is back, with
// another broadcast of the stream.
func TestParentReturns(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	edge := node(t, "edge", secret, below(origin.URL))
	b := harness.GoLive(t, origin)
	viewers := watchAll(t, edge, 5)
	for _, v := range viewers {
		v.WaitFrame(b.Sent())
	}
	b.Vanish()
	origin.Stop(t)
	harness.Eventually(t, "the edge says that it is interrupted", func() bool {
		return edge.Stream(t, harness.Cats).Status == "interrupted"
	})
	again := node(t, "origin", secret, func(c *server.Config) { c.Listen, c.Data = origin.Address(), origin.Data })
	b = harness.GoLive(t, again)
	b.WaitSent(1000 / 40) // beyond what was sent before
	for _, v := range viewers {
		v.WaitFrame(b.Sent() + 25)
		select {
		case <-v.Session.Lost():
			t.Error("a viewer has lost its session")
		default:
		}
	}
	if n := lines(edge, "viewer gone"); n != 0 {
		t.Errorf("%d viewers were sent away", n)
	}
	if n := lines(edge, "cannot be had"); n != 1 {
		t.Errorf("%d lines say that the parent was away", n)
	}
	harness.Eventually(t, "the new origin counts them", func() bool { return again.Stream(t, harness.Cats).Viewers == 5 })
}

// TestBroadcasterReturns: viewers at an edge stay for as long as those at the origin.
func TestBroadcasterReturns(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	keep := func(c *server.Config) { c.KeepViewers = 30e9 }
	origin := node(t, "origin", secret, keep)
	edge := node(t, "edge", secret, keep, below(origin.URL))
	b := harness.GoLive(t, origin)
	v := edge.Watch(t, harness.Cats)
	v.WaitFrame(b.Sent())
	b.Stop()
	harness.Eventually(t, "the edge says that it is over", func() bool {
		return edge.Stream(t, harness.Cats).Status == "offline"
	})
	before := len(v.VideoFrames())
	harness.GoLive(t, origin)
	harness.Eventually(t, "the viewer sees the next broadcast", func() bool { return len(v.VideoFrames()) > before+25 })
	select {
	case <-v.Session.Lost():
		t.Error("the viewer has lost its session")
	default:
	}
}
