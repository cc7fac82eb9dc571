package ingest

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"time"

	"siaran/internal/testutil"

	"github.com/pion/webrtc/v3"

	"siaran"
)

// TestTwoBroadcastersDoNotQuarrel: the one that was taken over reconnects by itself, as OBS does, and is refused
// while the other one sends.
func TestTwoBroadcastersDoNotQuarrel(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	vp8Only := clientOptions{video: webrtc.MimeTypeVP8}
	first := publish(t, s, "cats", vp8Only)
	defer first.sendFrames()()
	s.live(t, "cats")
	second := publish(t, s, "cats", vp8Only)
	again := []byte(newClient(t, vp8Only).offer())
	if _, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, again); !errors.Is(err,
		siaran.ErrContested) {
		t.Fatalf("before the second has sent anything: %v", err)
	}
	stop := second.sendFrames()
	testutil.Eventually(t, "media of the second", func() bool {
		h, ok := s.Health("cats")
		return ok && len(h.Layers) > 0 && h.Layers[len(h.Layers)-1].Packets > 10
	})
	if _, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, again); !errors.Is(err,
		siaran.ErrContested) {
		t.Fatalf("while the second sends: %v", err)
	}
	if _, err := s.Session(second.answer.Session); err != nil {
		t.Errorf("the second: %v", err)
	}
	stop() // it crashes, and its own reconnect is let in
	testutil.Eventually(t, "silence", func() bool {
		_, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, again)
		return err == nil
	})
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.sessions {
		if o.id != second.answer.Session && o.contest != (contest{}) {
			t.Error("what it took over was silent, and yet it is contested")
		}
	}
}

func TestContest(t *testing.T) {
	now := time.Now()
	at := func(seconds float64) time.Time { return now.Add(time.Duration(seconds * float64(time.Second))) }
	var none contest
	if none.refuses(now) {
		t.Error("a session that took nothing over refuses")
	}
	var c contest
	c.begin(now)
	if !c.refuses(at(29)) || c.refuses(at(29+29+30)) {
		t.Error("the time after an attempt is wrong")
	}
	c.begin(now)
	if c.refuses(at(30)) {
		t.Error("refused after its time")
	}
	// OBS waits 2 s, then half as long again each time, and gives up after 25 times.
	c.begin(now)
	wait, when := 2.0, 0.0
	for i := range 25 {
		if when += min(wait, 15*60); !c.refuses(at(when)) {
			t.Fatalf("attempt %d, after %.0f s, is let in", i, when)
		}
		wait *= 1.5
	}
}
