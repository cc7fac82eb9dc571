package harness

import (
	"context"
	"encoding/binary"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/whip"
	"siaran/web/access"
)

const Cats = siaran.StreamName("cats")

// TwoMinutes is a key frame interval that few tests outlast. A viewer whom a busy machine keeps from its packets may
// go on at the next key frame.
const TwoMinutes = int(2 * time.Minute / FrameInterval)

const (
	FrameInterval = 40 * time.Millisecond
	AudioInterval = 20 * time.Millisecond
)

var Tracks = []webrtc.RTPCodecCapability{
	{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000},
	{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2},
}

// Broadcaster sends numbered pictures and sounds, and ignores all requests for key frames.
type Broadcaster struct {
	t       testing.TB
	Session *whip.Session
	gop     int // pictures from one key frame to the next
	size    int // bytes of a picture

	cancel context.CancelFunc
	done   sync.WaitGroup
	once   sync.Once

	mu       sync.Mutex
	pictures int
	began    time.Time // just before the first packet
}

// Broadcast goes live. The broadcaster leaves politely when the test ends, if it has not left before.
// Options may change how.
func (s *Server) Broadcast(t testing.TB, stream siaran.StreamName, token string, gop int,
	options ...func(*whip.Config)) *Broadcaster {
	t.Helper()
	cfg := whip.Config{URL: s.WHIP(stream), Token: token, Tracks: Tracks, Client: s.Client}
	for _, o := range options {
		o(&cfg)
	}
	session, err := whip.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broadcaster{t: t, Session: session, gop: gop, size: 2500, cancel: cancel}
	b.done.Go(func() { b.send(ctx) })
	t.Cleanup(b.Stop)
	return b
}

func (b *Broadcaster) send(ctx context.Context) {
	tick := time.NewTicker(FrameInterval)
	defer tick.Stop()
	b.mu.Lock()
	b.began = time.Now()
	b.mu.Unlock()
	for n := 0; ; n++ {
		at := time.Duration(n) * FrameInterval
		for i := range 2 { // two sounds a picture
			if b.Session.Write(1, AudioFrame(2*n+i), at+time.Duration(i)*AudioInterval) != nil {
				return
			}
		}
		if b.Session.Write(0, VideoFrame(n, n%b.gop == 0, b.size), at) != nil {
			return
		}
		b.mu.Lock()
		b.pictures = n + 1
		b.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Sent is how many pictures have been sent.
func (b *Broadcaster) Sent() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.pictures
}

// FirstMedia is when the first packet was sent, once one has been.
func (b *Broadcaster) FirstMedia() time.Time {
	b.WaitSent(1)
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.began
}

func (b *Broadcaster) WaitSent(n int) {
	b.t.Helper()
	Eventually(b.t, "pictures are sent", func() bool { return b.Sent() >= n })
}

// Stop ends the broadcast; vanish only ends the broadcaster.
func (b *Broadcaster) Stop() {
	b.leave(func() error { return b.Session.Close(context.Background()) })
}

func (b *Broadcaster) Vanish() { b.leave(b.Session.Abandon) }

func (b *Broadcaster) leave(how func() error) {
	b.once.Do(func() {
		b.cancel()
		b.done.Wait()
		if err := how(); err != nil {
			b.t.Logf("the broadcaster leaves: %v", err) // the server may be down already
		}
	})
}

// VideoFrame is a VP8 frame as far as anyone but a decoder sees (RFC 6386 section 9.1), with its number in it.
func VideoFrame(n int, key bool, size int) []byte {
	b := []byte{0x11, 0, 0}
	if key {
		b = []byte{0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xf0, 0} // 320x240
	}
	b = binary.BigEndian.AppendUint32(b, uint32(n))
	for len(b) < size {
		b = append(b, byte(len(b)*7+n))
	}
	return b
}

// AudioFrame is an Opus packet of 20 ms with its number in it.
func AudioFrame(n int) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{0xfc}, uint32(n)), make([]byte, 60)...)
}

// GoLive broadcasts, with key frames so far apart that no viewer jumps to a newer one, and waits until the stream is
// live.
func GoLive(t *testing.T, s *Server, options ...func(*whip.Config)) *Broadcaster {
	t.Helper()
	b := s.Broadcast(t, Cats, s.Admin, TwoMinutes, options...)
	Eventually(t, "the stream is live", func() bool { return s.Stream(t, Cats).Status == "live" })
	return b
}

// OverNetworks leaves a broadcaster these networks alone, as a firewall does.
func OverNetworks(types ...webrtc.NetworkType) func(*whip.Config) {
	return func(c *whip.Config) {
		c.Setting = func(e *webrtc.SettingEngine) { e.SetNetworkTypes(types) }
	}
}

// PublishDemo broadcasts the demo clip without a browser until the test ends or the returned function is called.
func (s *Server) PublishDemo(t *testing.T, stream siaran.StreamName) (stop func()) {
	t.Helper()
	clip, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	cfg := whip.Config{URL: s.WHIP(stream), Token: s.Token(t, string(stream), access.Publish)}
	go func() {
		defer close(done)
		if err := publish.Clip(ctx, cfg, clip, publish.Options{Loop: true}, slog.New(slog.DiscardHandler)); err != nil &&
			ctx.Err() == nil {
			t.Errorf("publish: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}
