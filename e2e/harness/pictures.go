package harness

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
)

// Pictures notes the heights of the pictures of VP8 that a viewer gets.
type Pictures struct {
	mu      sync.Mutex
	height  int
	frames  int
	newest  time.Time     // frame
	longest time.Duration // between two frames
	frozen  time.Duration // sum of the times between frames that were longer than freeze
}

const freeze = 200 * time.Millisecond

// Packet takes one that the viewer has got.
func (l *Pictures) Packet(kind webrtc.RTPCodecType, p *rtp.Packet) {
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

// Forget begins to count again.
func (l *Pictures) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.frames, l.longest, l.frozen = 0, 0, 0
}

// Get returns the height of the newest picture, how many have come since Forget, and the longest time between two of
// them.
func (l *Pictures) Get() (height, frames int, longest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.height, l.frames, l.longest
}

// Wait waits for pictures of a height and returns how long it took.
func (l *Pictures) Wait(t testing.TB, height int) time.Duration {
	t.Helper()
	begun := time.Now()
	Eventually(t, "pictures of another height", func() bool {
		now, _, _ := l.Get()
		return now == height
	})
	return time.Since(begun).Round(time.Millisecond)
}

// Frozen is the sum of the times between frames that were longer than 0.2 s.
func (l *Pictures) Frozen() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.frozen
}
