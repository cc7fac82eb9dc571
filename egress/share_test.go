package egress_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/testutil"
)

// TestShareOfSetups: one source may open a quarter of all sessions that do not connect, and one network half of them.
func TestShareOfSetups(t *testing.T) {
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) { c.MaxSetups = 16 })
	s.frame(true, 2)
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	open := func(from netip.Addr) error {
		_, err := s.server.Offer(context.Background(), stream, "", from, offer)
		return err
	}
	refusedAfter := func(addresses ...string) int {
		t.Helper()
		for n := 0; ; n++ {
			switch err := open(netip.MustParseAddr(addresses[n%len(addresses)])); {
			case errors.Is(err, siaran.ErrShare):
				return n
			case err != nil || n > 16:
				t.Fatalf("after %d: %v", n, err)
			}
		}
	}
	if n := refusedAfter("2001:db8::1", "2001:db8::2"); n != 4 {
		t.Errorf("one /64 has %d of 16", n)
	}
	if n := refusedAfter("2001:db8:0:1::1", "2001:db8:0:2::1", "2001:db8:0:3::1"); n != 4 {
		t.Errorf("the rest of its /48 has %d more", n)
	}
	for range 2 {
		if err := open(netip.MustParseAddr("192.0.2.1")); err != nil {
			t.Error("another network:", err)
		}
	}
	for range 6 { // whoever is not counted takes what is left
		if err := open(netip.Addr{}); err != nil {
			t.Error(err)
		}
	}
	if err := open(netip.MustParseAddr("192.0.2.1")); !errors.Is(err, siaran.ErrTooManySessions) {
		t.Error(err)
	}
}

// TestShareOfSetupsComesBack: nothing is left of those that did not connect.
func TestShareOfSetupsComesBack(t *testing.T) {
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) {
		c.MaxSetups, c.SetupTimeout = 4, 20*time.Millisecond
	})
	s.frame(true, 2)
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if _, err := s.server.Offer(t.Context(), stream, "", netip.MustParseAddr("192.0.2.1"), offer); err != nil {
			t.Fatal(err)
		}
		testutil.Eventually(t, "the session ends", func() bool { return s.server.Stats().Sessions == 0 })
	}
}

// TestShareOfViewers is the same for viewers, until they leave.
func TestShareOfViewers(t *testing.T) {
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) { c.MaxSessions = 8 })
	s.frame(true, 2)
	defer s.play(25, 2)()
	s.from = netip.MustParseAddr("192.0.2.1")
	first := watch(t, s, webrtc.SettingEngine{})
	first.waitState(webrtc.PeerConnectionStateConnected)
	second := watch(t, s, webrtc.SettingEngine{})
	second.waitState(webrtc.PeerConnectionStateConnected)
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	open := func(from string) error {
		_, err := s.server.Offer(context.Background(), stream, "", netip.MustParseAddr(from), offer)
		return err
	}
	// The second may be connected for its own side only.
	testutil.Eventually(t, "a third viewer of one address is refused", func() bool {
		return errors.Is(open("192.0.2.1"), siaran.ErrShare)
	})
	if err := open("192.0.2.2"); err != nil {
		t.Error("a neighbour:", err)
	}
	if err := s.server.End(first.id); err != nil {
		t.Fatal(err)
	}
	if err := open("192.0.2.1"); err != nil {
		t.Error("after one has left:", err)
	}
}
