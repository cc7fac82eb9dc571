package egress_test

import (
	"maps"
	"os"
	"testing"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/testutil"
)

// TestEndingsAreCounted: the metrics tell viewers who were sent away from those who left and those who were lost.
func TestEndingsAreCounted(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	defer s.play(25, 2)()
	ended := func(p *peer) error { return s.server.End(p.id) }
	moved := func(p *peer) error { s.server.Move(p.id); return nil }
	withdrawn := func(p *peer) error { return s.server.Withdraw(p.id) }
	kicked := func(p *peer) error { return s.server.Kick(stream, s.server.ViewerOf(p.id)) }
	want := map[string]uint64{}
	for _, tt := range []struct {
		reason string
		end    func(*peer) error
	}{
		{"left", ended}, {"moved", moved}, {"withdrawn", withdrawn}, {"kicked", kicked},
	} {
		v := watch(t, s, webrtc.SettingEngine{})
		v.next(v.video)
		if err := tt.end(v); err != nil {
			t.Fatal(tt.reason, err)
		}
		if err := s.server.Withdraw(v.id); err == nil {
			t.Errorf("%s: the session of a viewer who has gone is withdrawn", tt.reason)
		}
		want[tt.reason]++
		if got := s.server.Stats().Endings; !maps.Equal(got, want) {
			t.Fatalf("%s: %v, want %v", tt.reason, got, want)
		}
	}
	offer, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	connected := s.server.Stats().Outcomes["connected"]
	for _, end := range []func(*peer) error{moved, withdrawn} {
		answer, err := s.offer(offer)
		if err != nil {
			t.Fatal(err)
		}
		if err := end(&peer{id: answer.Session}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.server.Stats().Outcomes; !maps.Equal(got, map[string]uint64{"connected": connected, "given_up": 2}) {
		t.Errorf("without a connection: %v", got)
	}
}

// TestStreamFillsUpDuringTheHandshake: whoever comes too late then is counted as one that was refused, and not as one
// whose network is at fault.
func TestStreamFillsUpDuringTheHandshake(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	b, err := s.hub.Broadcast(stream)
	if err != nil {
		t.Fatal(err)
	}
	s.answered = func() {
		b.LimitViewers(1)
		if err := b.Join(siaran.Viewer{ID: "faster"}); err != nil {
			t.Error(err)
		}
	}
	watch(t, s, webrtc.SettingEngine{})
	testutil.Eventually(t, "the viewer is sent away", func() bool { return s.server.Stats().Sessions == 0 })
	testutil.Eventually(t, "it is counted", func() bool { return len(s.server.Stats().Outcomes) > 0 })
	if got := s.server.Stats().Outcomes; !maps.Equal(got, map[string]uint64{"stream_full": 1}) {
		t.Error(got)
	}
	b.Leave("faster")
}
