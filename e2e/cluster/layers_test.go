package cluster

import (
	"math"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// TestLayersOnDemand: an edge gets the layers that its viewers need. One on a thin path gets the smallest, one on a
// good path the largest; what nobody needs any more does not come, and comes again when somebody does.
func TestLayersOnDemand(t *testing.T) {
	t.Parallel()
	secret := secretFile(t)
	origin := node(t, "origin", secret)
	inner := origin.ThinPath(t, 1e9, time.Second, 0)
	edge := node(t, "edge", secret, below(inner.URL))
	origin.Simulcast(t, harness.Cats, origin.Admin)
	small, large := harness.SimulcastLayers[0], harness.SimulcastLayers[2]

	var wide, thin harness.Pictures
	good := edge.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = wide.Packet })
	wide.Wait(t, large.Height)
	path := edge.ThinPath(t, 400_000, time.Second, 20*time.Millisecond)
	viewer := edge.Watch(t, harness.Cats, func(c *whep.Config) {
		c.URL, c.Packet = path.URL+"/whep/cats", thin.Packet
	})
	thin.Wait(t, small.Height)

	const sound, over = 50 * 8 * (80 + 60), 1.05
	rate := func() float64 { return innerRate(inner, 2*time.Second) }
	harness.Eventually(t, "the middle layer is let go", func() bool {
		return rate() < over*float64(large.Rate+small.Rate)+sound+60_000
	})
	wide.Wait(t, large.Height) // as it had, unless the machine has stood still
	good.Leave()
	harness.Eventually(t, "the largest layer is let go", func() bool {
		return rate() < over*float64(small.Rate)+sound+60_000
	})
	t.Logf("%.0f bit/s for the smallest layer alone", rate())
	thin.Forget()
	thin.Wait(t, small.Height)
	harness.Eventually(t, "the viewer on the thin path has pictures", func() bool {
		_, frames, _ := thin.Get()
		return frames > 0
	})

	path.SetRate(20_000_000)
	t.Logf("the largest layer comes again after %v", thin.Wait(t, large.Height))
	checkClock(t, viewer)
	if n := lines(edge, "pulling from the parent"); n < 1 || n > 1+ended(edge) {
		t.Errorf("the edge pulls %d times", n)
	}
}

// checkClock holds that the times of a viewer's pictures go on whatever layer they come from, as sender reports say.
// Each layer's timestamps begin at random, within 13 hours. A broadcaster reports times that are late by as long as a
// busy machine keeps it waiting.
func checkClock(t *testing.T, v *harness.Viewer) {
	t.Helper()
	var first float64
	for i, r := range v.Reports(webrtc.RTPCodecTypeVideo) {
		seconds := float64(r.NTPTime>>32) + float64(r.NTPTime&0xffffffff)/(1<<32)
		ahead := float64(r.RTPTime) - seconds*90_000
		ahead = math.Remainder(ahead, 1<<32) / 90_000
		if i == 0 {
			first = ahead
		}
		if off := math.Abs(math.Remainder(ahead-first, float64(1<<32)/90_000)); off > 30 {
			t.Errorf("report %d: timestamps are off by %.3f s", i, off)
		}
	}
}

// innerRate is what passes in a time, in bits a second.
func innerRate(p *harness.ThinPath, during time.Duration) float64 {
	p.Report()
	begun := time.Now()
	time.Sleep(during)
	_, passed, _ := p.Report()
	return float64(passed) * 8 / time.Since(begun).Seconds()
}
