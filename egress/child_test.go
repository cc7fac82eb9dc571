package egress_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"testing"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/egress"
	"siaran/internal/testutil"
)

// TestChildGetsNumbersAsTheyAre: from the cached key frame on, with the sequence numbers and timestamps of the layer.
func TestChildGetsNumbersAsTheyAre(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.child = true
	s.frame(true, 20)
	for range 200 {
		s.frame(false, 3)
	}
	s.sound()
	layer := s.pub.Broadcast().Video().Layers[0]
	first, _ := layer.Keyframe()
	v := watch(t, s, webrtc.SettingEngine{})
	defer s.play(0, 3)()
	for i, p := range collect(t, v, 900) {
		i := first + int64(i)
		want := layer.Get(i)
		if p.SequenceNumber != uint16(i) || p.Timestamp != uint32(want.Timestamp) || p.Marker != want.Marker ||
			len(p.Header.Extensions) > 0 || !bytes.Equal(p.Payload, want.Payload) {
			t.Fatalf("packet %d is %v, want that of the layer: %d, %v", i, p.Header, want.Timestamp, want.Marker)
		}
	}
	if state := s.pub.Broadcast().State(); state.Viewers != 0 || state.TotalViewers != 0 {
		t.Errorf("the child counts as a viewer: %+v", state)
	}
}

// TestChildNeverGoesBack: a child that keeps asking for key frames and gets no answer is not restarted.
func TestChildNeverGoesBack(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.child = true
	s.frame(true, 20)
	v := watch(t, s, webrtc.SettingEngine{})
	defer s.play(0, 3)()
	seen, again := make(map[uint16]bool), 0
	for i := 1; len(seen) < 600; i++ {
		p := v.next(v.video)
		if seen[p.SequenceNumber] {
			again++
		}
		seen[p.SequenceNumber] = true
		if i%50 == 0 {
			pli := &rtcp.PictureLossIndication{MediaSSRC: p.SSRC}
			if err := v.pc.WriteRTCP([]rtcp.Packet{pli}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if again > 20 { // one that is repaired may come twice
		t.Errorf("%d packets came again", again)
	}
}

func audience(viewers uint32, joins uint64) *rtcp.RawPacket {
	b := []byte{0x80, 204, 0, 5, 0, 0, 0, 1, 'S', 'I', 'R', 'N'}
	b = binary.BigEndian.AppendUint32(b, viewers)
	raw := rtcp.RawPacket(binary.BigEndian.AppendUint64(b, joins))
	return &raw
}

func TestChildBringsItsViewers(t *testing.T) {
	s := newStage(t, siaran.VP8)
	s.frame(true, 2)
	defer s.play(25, 2)()
	viewer := watch(t, s, webrtc.SettingEngine{})
	s.child = true
	child := watch(t, s, webrtc.SettingEngine{})
	other := watch(t, s, webrtc.SettingEngine{})
	for _, v := range []*peer{viewer, child, other} {
		v.next(v.video)
	}
	say := func(v *peer, viewers uint32, joins uint64) {
		t.Helper()
		if err := v.pc.WriteRTCP([]rtcp.Packet{audience(viewers, joins)}); err != nil {
			t.Fatal(err)
		}
	}
	want := func(viewers, total int) {
		t.Helper()
		testutil.Eventually(t, "the audience is right", func() bool {
			state := s.pub.Broadcast().State()
			return state.Viewers == viewers && state.TotalViewers == total
		})
	}
	want(1, 1)
	say(child, 10, 12)
	want(11, 13)
	say(other, 5, 5)
	want(16, 18)
	say(child, 3, 12)
	want(9, 18)
	say(viewer, 1000, 1000) // a viewer has no say
	say(child, 4, 13)
	want(10, 19)
	if n := s.server.Sessions(stream); n != 3 {
		t.Errorf("%d sessions, want 3", n)
	}
	if err := s.server.End(child.id); err != nil {
		t.Fatal(err)
	}
	want(6, 19)
	if err := s.server.End(viewer.id); err != nil {
		t.Fatal(err)
	}
	want(5, 19)
}

// TestChildrenHaveTheirOwnPlaces: viewers cannot take them, nor they those of viewers.
func TestChildrenHaveTheirOwnPlaces(t *testing.T) {
	s := newStageAt(t, "127.0.0.1:0", siaran.VP8, func(c *egress.Config) {
		c.MaxSetups, c.MaxSessions, c.MaxChildren = 3, 1, 2
	})
	s.frame(true, 2)
	defer s.play(25, 2)()
	text, err := os.ReadFile("../internal/sdp/testdata/offers/whep-chromium.sdp")
	if err != nil {
		t.Fatal(err)
	}
	v := watch(t, s, webrtc.SettingEngine{})
	v.next(v.video)
	view := func() error {
		_, err := s.server.Offer(context.Background(), stream, "", netip.Addr{}, text)
		return err
	}
	var children []siaran.SessionID
	relay := func() error {
		answer, err := s.server.OfferToChild(context.Background(), stream, "", text)
		if err == nil {
			children = append(children, answer.Session)
		}
		return err
	}
	if err := view(); !errors.Is(err, siaran.ErrTooManySessions) {
		t.Error("a second viewer:", err)
	}
	for range 2 {
		if err := relay(); err != nil {
			t.Error("a child:", err)
		}
	}
	if err := relay(); !errors.Is(err, siaran.ErrTooManySessions) {
		t.Error("a third child:", err)
	}
	if err := s.server.End(v.id); err != nil {
		t.Fatal(err)
	}
	if err := view(); err != nil {
		t.Error("a viewer beside the children:", err)
	}
	if err := s.server.End(children[0]); err != nil {
		t.Fatal(err)
	}
	if err := relay(); err != nil {
		t.Error("a child after another:", err)
	}
}
