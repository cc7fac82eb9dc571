package media

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// lines notes the heights of the pictures that a viewer gets.
type lines struct {
	mu      sync.Mutex
	height  int
	frames  int
	newest  time.Time     // frame
	longest time.Duration // between two frames
	frozen  time.Duration // sum of the times between frames that were longer than freeze
}

const freeze = 200 * time.Millisecond

func (l *lines) packet(kind webrtc.RTPCodecType, p *rtp.Packet) {
	var vp8 codecs.VP8Packet
	if kind != webrtc.RTPCodecTypeVideo {
		return
	}
	if _, err := vp8.Unmarshal(p.Payload); err != nil { // padding
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := vp8.Payload; vp8.S == 1 && vp8.PID == 0 && len(b) >= 10 && b[0]&1 == 0 { // RFC 6386 section 9.1
		l.height = int(binary.LittleEndian.Uint16(b[8:]) & 0x3fff)
	}
	if !p.Marker {
		return
	}
	now := time.Now()
	if l.frames++; !l.newest.IsZero() {
		gap := now.Sub(l.newest)
		l.longest = max(l.longest, gap)
		if gap > freeze {
			l.frozen += gap
		}
	}
	l.newest = now
}

// forget begins to count again.
func (l *lines) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames, l.longest, l.frozen = 0, 0, 0
}

func (l *lines) get() (height, frames int, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.height, l.frames, l.longest
}

// wait waits for pictures of a height and returns how long it took.
func (l *lines) wait(t testing.TB, height int) time.Duration {
	t.Helper()
	begun := time.Now()
	harness.EventuallyWithin(t, time.Minute, "pictures of another height", func() bool {
		now, _, _ := l.get()
		return now == height
	})
	return time.Since(begun).Round(time.Millisecond)
}

// TestThinPath holds that a viewer whose path is cut gets the smallest layer and then the largest one again, and that
// another viewer has the largest meanwhile. How long it takes depends on the machine and is logged; egress has models
// of that.
func TestThinPath(t *testing.T) {
	s := harness.Start(t)
	s.Simulcast(t, harness.Cats, s.Admin)
	path := s.ThinPath(t, 20_000_000, time.Second, 20*time.Millisecond)
	var thin, wide lines
	s.Watch(t, harness.Cats, func(c *whep.Config) { c.URL, c.Packet = path.URL+"/whep/cats", thin.packet })
	s.Watch(t, harness.Cats, func(c *whep.Config) { c.Packet = wide.packet })
	top := harness.SimulcastLayers[2].Height
	t.Logf("the largest layer after %v", thin.wait(t, top))
	wide.wait(t, top)
	thin.forget()
	path.Report()

	path.SetRate(400_000)
	t.Logf("cut: the smallest layer after %v", thin.wait(t, harness.SimulcastLayers[0].Height))
	_, _, longest := thin.get()
	queue, _, dropped := path.Report()
	t.Logf("meanwhile no picture for %v, a queue of %v, %d datagrams dropped", longest, queue, dropped)
	thin.forget()
	harness.Eventually(t, "the smallest layer gets through", func() bool {
		_, frames, _ := thin.get()
		return frames > 60
	})
	wide.wait(t, top)

	path.SetRate(20_000_000)
	t.Logf("uncut: the largest layer after %v", thin.wait(t, top))
}

// BenchmarkSwings watches for two minutes on a path that carries 0.5 and 3 Mbit/s, for five seconds each.
func BenchmarkSwings(b *testing.B) {
	s := harness.Start(b)
	s.Simulcast(b, harness.Cats, s.Admin)
	path := s.ThinPath(b, 20_000_000, 300*time.Millisecond, 20*time.Millisecond)
	var thin lines
	s.Watch(b, harness.Cats, func(c *whep.Config) { c.URL, c.Packet = path.URL+"/whep/cats", thin.packet })
	thin.wait(b, harness.SimulcastLayers[2].Height)
	for b.Loop() {
		thin.forget()
		for n := range 24 {
			path.SetRate([]int{500_000, 3_000_000}[n%2])
			time.Sleep(5 * time.Second)
			height, frames, longest := thin.get()
			queue, passed, _ := path.Report()
			b.Logf("%d s: %d lines, %d pictures, none for %v, a queue of %v, %d kB", 5*n+5, height, frames, longest, queue,
				passed/1000)
		}
		thin.mu.Lock()
		b.ReportMetric(100*thin.frozen.Seconds()/120, "%frozen")
		thin.mu.Unlock()
	}
}
