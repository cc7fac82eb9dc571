package soak

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"

	"siaran/e2e/harness"
	"siaran/internal/whep"
)

// crowd holds viewers who come and go.
type crowd struct {
	t      *testing.T
	server *subject
	client *http.Client
	vanish bool // every fifth leaves without a word
	coming sync.WaitGroup

	joined, left, refused atomic.Int64
	longest               atomic.Int64 // nanoseconds that a viewer has been without a packet

	mu      sync.Mutex
	viewers []*viewer // the one who came first is the first
}

type viewer struct {
	session *whep.Session
	crowd   *crowd
	packets atomic.Int64
	last    atomic.Int64 // Unix time in nanoseconds of the newest packet
}

func newCrowd(t *testing.T, s *subject, vanish bool) *crowd {
	// Connections that lie idle would be descriptors of the server.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return &crowd{t: t, server: s, client: client, vanish: vanish}
}

func (c *crowd) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.viewers)
}

// join lets one viewer come. As players do, it tries again until it is in: the stream may not be live, or the machine
// too busy for it to connect in time.
func (c *crowd) join(ctx context.Context) {
	c.coming.Go(func() {
		v := &viewer{crowd: c}
		cfg := whep.Config{URL: c.server.WHEP(harness.Cats), Client: c.client, Packet: v.packet}
		for {
			session, err := whep.Dial(ctx, cfg)
			if err == nil {
				v.session = session
				break
			}
			if c.refused.Add(1); !harness.Refused(err, http.StatusConflict) && ctx.Err() == nil {
				c.t.Logf("a viewer tries again: %v", err)
			}
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
				return
			}
		}
		c.joined.Add(1)
		c.mu.Lock()
		defer c.mu.Unlock()
		c.viewers = append(c.viewers, v)
	})
}

func (v *viewer) packet(webrtc.RTPCodecType, *rtp.Packet) {
	now := time.Now().UnixNano()
	if before := v.last.Swap(now); before != 0 {
		for gap := now - before; ; {
			longest := v.crowd.longest.Load()
			if gap <= longest || v.crowd.longest.CompareAndSwap(longest, gap) {
				break
			}
		}
	}
	v.packets.Add(1)
}

// leave ends the viewer that has watched longest.
func (c *crowd) leave() {
	c.mu.Lock()
	if len(c.viewers) == 0 {
		c.mu.Unlock()
		return
	}
	v := c.viewers[0]
	c.viewers = c.viewers[1:]
	c.mu.Unlock()
	harness.Eventually(c.t, "a viewer has a packet before it leaves", func() bool { return v.packets.Load() > 0 })
	if c.left.Add(1)%5 == 0 && c.vanish {
		_ = v.session.Abandon() // nothing is asked of the server
		return
	}
	if err := v.session.Close(context.Background()); err != nil {
		c.t.Errorf("a viewer leaves: %v", err)
	}
}

// rest waits until all who are coming have come, all who left without a word are forgotten, and media goes on for all
// others.
func (c *crowd) rest() {
	c.coming.Wait()
	harness.EventuallyWithin(c.t, 3*time.Minute, "the server has these viewers and no others", func() bool {
		s := c.server.Stream(c.t, harness.Cats)
		return s.Status == "live" && s.Viewers == c.size()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, v := range c.viewers {
		before := v.packets.Load()
		harness.Eventually(c.t, "media goes on", func() bool { return v.packets.Load() > before })
	}
}
