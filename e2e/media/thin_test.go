package media

import (
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// TestThinPath holds that a viewer whose path is cut gets the smallest layer and then the largest one again, and that
// another viewer has the largest meanwhile. How long it takes depends on the machine and is logged; egress has models
// of that.
func TestThinPath(t *testing.T) {
	s := harness.Start(t)
	s.Simulcast(t, harness.Cats, s.Admin)
	path := s.ThinPath(t, 20_000_000, time.Second, 20*time.Millisecond)
	var thin, wide harness.Pictures
	s.Watch(t, harness.Cats, func(c *whep.Config) { c.URL, c.Packet = path.URL+"/whep/cats", thin.Packet })
	s.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = wide.Packet })
	top := harness.SimulcastLayers[2].Height
	t.Logf("the largest layer after %v", thin.Wait(t, top))
	wide.Wait(t, top)
	thin.Forget()
	path.Report()

	path.SetRate(400_000)
	t.Logf("cut: the smallest layer after %v", thin.Wait(t, harness.SimulcastLayers[0].Height))
	_, _, longest := thin.Get()
	queue, _, dropped := path.Report()
	t.Logf("meanwhile no picture for %v, a queue of %v, %d datagrams dropped", longest, queue, dropped)
	thin.Forget()
	harness.Eventually(t, "the smallest layer gets through", func() bool {
		_, frames, _ := thin.Get()
		return frames > 60
	})
	wide.Wait(t, top)

	path.SetRate(20_000_000)
	t.Logf("uncut: the largest layer after %v", thin.Wait(t, top))
}

// BenchmarkSwings watches for two minutes on a path that carries 0.5 and 3 Mbit/s, for five seconds each.
func BenchmarkSwings(b *testing.B) {
	s := harness.Start(b)
	s.Simulcast(b, harness.Cats, s.Admin)
	path := s.ThinPath(b, 20_000_000, 300*time.Millisecond, 20*time.Millisecond)
	var thin harness.Pictures
	s.Watch(b, harness.Cats, func(c *whep.Config) { c.URL, c.Packet = path.URL+"/whep/cats", thin.Packet })
	thin.Wait(b, harness.SimulcastLayers[2].Height)
	for b.Loop() {
		thin.Forget()
		for n := range 24 {
			path.SetRate([]int{500_000, 3_000_000}[n%2])
			time.Sleep(5 * time.Second)
			height, frames, longest := thin.Get()
			queue, passed, _ := path.Report()
			b.Logf("%d s: %d lines, %d pictures, none for %v, a queue of %v, %d kB", 5*n+5, height, frames, longest, queue,
				passed/1000)
		}
		b.ReportMetric(100*thin.Frozen().Seconds()/120, "%frozen")
	}
}
