package egress_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/testutil"
)

// TestBan: whoever is banned stays away until the broadcast is over, and nobody else does.
func TestBan(t *testing.T) {
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	type guest struct{ owner, from string }
	for name, tt := range map[string]struct {
		watching []guest // the first is banned
		by       siaran.BannedBy
		ended    int
		err      error
		no, yes  []guest
	}{
		"without a token": {
			watching: []guest{{"", "2001:db8::1"}, {"", "2001:db8::2"}, {"", "2001:db8:0:1::1"}, {"key:a", "2001:db8::3"}},
			by:       siaran.BannedByAddress, ended: 2,
			no:  []guest{{"", "2001:db8::9"}},
			yes: []guest{{"", "2001:db8:0:1::9"}, {"key:a", "2001:db8::1"}, {"", ""}},
		},
		"IPv4 in IPv6": {
			watching: []guest{{"", "::ffff:192.0.2.1"}}, by: siaran.BannedByAddress, ended: 1,
			no: []guest{{"", "192.0.2.1"}}, yes: []guest{{"", "192.0.2.2"}},
		},
		"with a token of its own": {
			watching: []guest{{"key:a", "192.0.2.1"}, {"key:a", "192.0.2.1"}, {"key:b", "192.0.2.1"}},
			by:       siaran.BannedByToken, ended: 2,
			no:  []guest{{"key:a", "192.0.2.1"}, {"key:a", "198.51.100.1"}, {"", "192.0.2.1"}},
			yes: []guest{{"key:b", "192.0.2.1"}, {"", "198.51.100.1"}},
		},
		"with a link that others have": {
			watching: []guest{{"key:a", "192.0.2.1"}, {"key:a", "198.51.100.1"}}, by: siaran.BannedByAddress, ended: 1,
			no:  []guest{{"key:a", "192.0.2.1"}, {"", "192.0.2.1"}},
			yes: []guest{{"key:a", "198.51.100.1"}, {"key:b", "192.0.2.1"}},
		},
		"with a token, from nowhere": {
			watching: []guest{{"key:a", ""}}, by: siaran.BannedByToken, ended: 1,
			no: []guest{{"key:a", "192.0.2.1"}}, yes: []guest{{"", ""}, {"", "192.0.2.1"}},
		},
		"unknown": {watching: []guest{{"", ""}}, err: siaran.ErrUnidentified, yes: []guest{{"", ""}}},
		"unknown, with a link that others have": {
			watching: []guest{{"key:a", ""}, {"key:a", "192.0.2.1"}}, err: siaran.ErrUnidentified, yes: []guest{{"key:a", ""}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) { c.Share = 100 })
			s.frame(true, 2)
			open := func(g guest) (siaran.SessionID, error) {
				from, _ := netip.ParseAddr(g.from) // not valid if it is empty
				answer, err := s.server.Offer(context.Background(), stream, g.owner, from, offer)
				return answer.Session, err
			}
			var first siaran.SessionID
			for i, g := range tt.watching {
				id, err := open(g)
				if err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					first = id
				}
			}
			ended, by, err := s.server.Ban(stream, s.server.ViewerOf(first))
			if !errors.Is(err, tt.err) || by != tt.by || ended != tt.ended {
				t.Fatalf("Ban: %d by %q, %v", ended, by, err)
			}
			if bans := s.server.Stats().Bans[string(tt.by)]; (bans == 1) != (tt.err == nil) {
				t.Errorf("%d bans are counted", bans)
			}
			if n := s.server.Sessions(stream); n != len(tt.watching)-tt.ended {
				t.Errorf("%d sessions are left", n)
			}
			for _, g := range tt.no {
				if _, err := open(g); !errors.Is(err, siaran.ErrBanned) {
					t.Errorf("%+v: %v, want ErrBanned", g, err)
				}
			}
			for _, g := range tt.yes {
				if _, err := open(g); err != nil {
					t.Errorf("%+v: %v", g, err)
				}
			}
			if _, _, err := s.server.Ban(stream, "nobody"); !errors.Is(err, siaran.ErrUnknownSession) {
				t.Errorf("nobody: %v", err)
			}
			s.nextBroadcast()
			for _, g := range tt.no {
				if _, err := open(g); err != nil {
					t.Errorf("%+v in the next broadcast: %v", g, err)
				}
			}
		})
	}
}

// nextBroadcast ends the broadcast and begins another one.
func (s *stage) nextBroadcast() {
	s.t.Helper()
	if err := s.hub.End(stream, siaran.EndByOwner); err != nil {
		s.t.Fatal(err)
	}
	s.publish(siaran.VP8)
	s.frame(true, 2)
}

func TestBansAreBounded(t *testing.T) {
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) { c.Share = 100 })
	s.frame(true, 2)
	for n := 0; ; n++ {
		from := netip.AddrFrom4([4]byte{192, 0, byte(n >> 8), byte(n)})
		answer, err := s.server.Offer(context.Background(), stream, fmt.Sprint("key:", n), from, offer)
		if err != nil {
			t.Fatal(err)
		}
		switch _, _, err := s.server.Ban(stream, s.server.ViewerOf(answer.Session)); {
		case errors.Is(err, siaran.ErrTooManyBans) && n >= 500:
			return
		case err != nil || n > 5000:
			t.Fatalf("after %d: %v", n, err)
		}
	}
}

// TestViewersOfOneStreamAreBounded: the bound counts viewers that are connected, whichever has come first.
func TestViewersOfOneStreamAreBounded(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	defer s.play(25, 2)()
	b, err := s.hub.Broadcast(stream)
	if err != nil {
		t.Fatal(err)
	}
	b.LimitViewers(1)
	first := watch(t, s, webrtc.SettingEngine{})
	first.waitState(webrtc.PeerConnectionStateConnected)
	testutil.Eventually(t, "the stream is full", b.Full)
	offer := []byte(first.pc.LocalDescription().SDP)
	if _, err := s.offer(offer); !errors.Is(err, siaran.ErrStreamFull) {
		t.Errorf("a second viewer: %v", err)
	}
	b.LimitViewers(0)
	if _, err := s.offer(offer); err != nil {
		t.Errorf("without the bound: %v", err)
	}
	b.LimitViewers(1)
	if err := s.server.End(first.id); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "there is room again", func() bool { return !b.Full() })
	if err := b.Join(siaran.Viewer{ID: "one"}); err != nil {
		t.Error(err)
	}
	if err := b.Join(siaran.Viewer{ID: "two"}); !errors.Is(err, siaran.ErrStreamFull) {
		t.Errorf("two have opened a session, and both have connected: %v", err)
	}
	b.Leave("one")
}
