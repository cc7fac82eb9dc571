package egress

import (
	"os"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// TestStampIsForREMB holds who gets the time of sending: viewers that have REMB and nothing better. Without RTX nobody
// gets it, as a packet that is sent again would differ from the first one under the same key and number.
func TestStampIsForREMB(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(hub.Close)
	vp8 := siaran.Codec{Name: siaran.VP8, ClockRate: 90000}
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: vp8, RIDs: []string{"a", "b"}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		viewer string
		rtx    bool
		stamp  uint8
	}{{"aiortc", true, 2}, {"aiortc", false, 0}, {"chromium", true, 0}, {"pion", true, 0}} {
		text, err := os.ReadFile("../internal/sdp/testdata/offers/whep-" + c.viewer + ".sdp")
		if err != nil {
			t.Fatal(err)
		}
		offer, err := sdp.ParseOffer(text)
		if err != nil {
			t.Fatal(err)
		}
		section := &offer.Sections[videoSection(offer)]
		for i := range section.Codecs {
			if !c.rtx {
				section.Codecs[i].RTX = 0
			}
		}
		plans, err := planSections(offer, pub.Broadcast(), false)
		if err != nil {
			t.Fatal(err)
		}
		p := plans[section.Index]
		if p.StampID != c.stamp {
			t.Errorf("%s, RTX %v: extension %d, want %d", c.viewer, c.rtx, p.StampID, c.stamp)
		}
		named := slices.ContainsFunc(p.extensions, func(e sdp.Extension) bool { return e.URI == uriStamp })
		if named != (c.stamp != 0) {
			t.Errorf("%s: the answer names it: %v", c.viewer, named)
		}
	}
}
