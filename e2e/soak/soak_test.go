package soak

import (
	"context"
	"net/http"
	"os"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
)

// plan is how long, and how much.
type plan struct {
	settle, last time.Duration // until the server holds what it will hold from then on, and from there to the end
	viewers      int
	turnover     time.Duration // from one join and leave to the next
	reconnect    time.Duration // from one broadcaster to the next
	samples      int
	vanish       bool // some viewers leave without a word, which takes long to be noticed
}

const longest = 3 * time.Hour

func planned(t *testing.T) plan {
	t.Helper()
	text := os.Getenv("SIARAN_SOAK")
	if text == "" {
		return plan{time.Second, 3 * time.Second, 8, 100 * time.Millisecond, 800 * time.Millisecond, 1, false}
	}
	length, err := time.ParseDuration(text)
	if err != nil || length < time.Minute || length > longest {
		t.Fatalf("SIARAN_SOAK %q: give 1m to %s", text, longest)
	}
	settle := min(5*time.Minute, length/3)
	return plan{settle, length - settle, 100, 200 * time.Millisecond, time.Minute, 15, true}
}

// TestViewersComeAndGo while the broadcaster comes back again and again: by vanishing and by ending its broadcast, in
// turn. At the end the server holds no more than after the beginning, and has nothing to warn of.
func TestViewersComeAndGo(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: it reads /proc")
	}
	p := planned(t)
	s := start(t)
	c := newCrowd(t, s, p.vanish)
	b := broadcast(t, s)
	for range p.viewers {
		c.join(t.Context())
	}
	c.rest()
	t.Logf("at the start: %v", s.holds(t))

	b = churn(t, p, c, b, p.settle)
	c.rest()
	settled := s.sample(t, p.samples)
	t.Logf("after %s: %v", p.settle, settled)
	churn(t, p, c, b, p.last)
	c.rest()
	if p.samples == 1 {
		// What is on its way, such as a request of this test, is only a matter of time.
		var now held
		defer func() { t.Logf("at the end: %v", now) }()
		harness.Eventually(t, "no goroutine and no descriptor is left", func() bool {
			http.DefaultClient.CloseIdleConnections() // the server keeps them for half a minute
			now = s.holds(t)
			return now.Goroutines <= settled.Goroutines && now.Descriptors <= settled.Descriptors
		})
	} else {
		compare(t, settled, s.sample(t, p.samples))
	}
	t.Logf("%d viewers have come and %d left; %d joins were in vain at first; longest without a packet: %s",
		c.joined.Load(), c.left.Load(), c.refused.Load(), time.Duration(c.longest.Load()).Round(time.Millisecond))
	for _, line := range s.warnings() {
		t.Errorf("in the log: %s", line)
	}
	for c.size() > 0 {
		c.leave()
	}
}

// broadcast goes live over UDP alone: connections that ICE opened for TCP and does not use stay for a while.
func broadcast(t *testing.T, s *subject) *harness.Broadcaster {
	t.Helper()
	return s.Broadcast(t, harness.Cats, s.Admin, 50, harness.OverNetworks(webrtc.NetworkTypeUDP4, webrtc.NetworkTypeUDP6))
}

// churn lets viewers and broadcasters come and go for some time, and returns the last broadcaster.
func churn(t *testing.T, p plan, c *crowd, b *harness.Broadcaster, length time.Duration) *harness.Broadcaster {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	turn, reconnect := time.NewTicker(p.turnover), time.NewTicker(p.reconnect)
	defer turn.Stop()
	defer reconnect.Stop()
	for n := 0; !t.Failed(); {
		select {
		case <-ctx.Done():
			return b
		case <-turn.C:
			c.join(t.Context())
			if c.size() > p.viewers {
				c.leave()
			}
		case <-reconnect.C:
			if n++; n%2 == 0 {
				b.Stop()
			} else {
				b.Vanish() // one that comes back while the server still believes in the other contests it
				harness.Eventually(t, "it is missed", func() bool { return c.server.Stream(t, harness.Cats).Status != "live" })
			}
			b = broadcast(t, c.server)
			t.Logf("%v, %d viewers, %d have come", c.server.holds(t), c.size(), c.joined.Load())
		}
	}
	return b
}

// sample is the median of what the server holds in so many seconds, since the packets that it keeps grow and shrink
// with each key frame.
func (s *subject) sample(t *testing.T, seconds int) held {
	t.Helper()
	all := []held{s.holds(t)}
	for len(all) < seconds {
		http.DefaultClient.CloseIdleConnections() // of this test, which the server keeps for half a minute
		time.Sleep(time.Second)
		all = append(all, s.holds(t))
	}
	middle := func(of func(held) int) int {
		values := make([]int, 0, len(all))
		for _, h := range all {
			values = append(values, of(h))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return held{
		Goroutines:  middle(func(h held) int { return h.Goroutines }),
		Descriptors: middle(func(h held) int { return h.Descriptors }),
		Heap:        middle(func(h held) int { return h.Heap }),
		RSS:         middle(func(h held) int { return h.RSS }),
	}
}

// compare allows 2 %, and for what is small a little more than nothing.
func compare(t *testing.T, settled, end held) {
	t.Helper()
	t.Logf("at the end: %v", end)
	for _, row := range []struct {
		name               string
		before, after, few int
	}{
		{"goroutines", settled.Goroutines, end.Goroutines, 2},
		{"descriptors", settled.Descriptors, end.Descriptors, 2},
		{"bytes of heap", settled.Heap, end.Heap, 1 << 20},
		{"bytes of RSS", settled.RSS, end.RSS, 2 << 20},
	} {
		if row.after > row.before+max(row.before/50, row.few) {
			t.Errorf("%s have grown from %d to %d", row.name, row.before, row.after)
		}
	}
}
