package egress

import (
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

// TestChildGetsTheLargestLayer that is being sent.
func TestChildGetsTheLargestLayer(t *testing.T) {
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	defer hub.Close()
	pub, err := hub.Publish("cats", "me", []siaran.TrackSpec{{
		Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: []string{"m", "h", "l"},
	}})
	if err != nil {
		t.Fatal(err)
	}
	write := func(rid string, width byte, n int64, at time.Time) {
		t.Helper()
		frame := []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, width, 0, width, 0} // a key frame (RFC 6386 section 9.1)
		if err := pub.Writer(siaran.KindVideo, rid).Write(n, n*3000, true, frame, at); err != nil {
			t.Fatal(err)
		}
	}
	chosen := func(at time.Time) string {
		p := &sectionPlan{plan: plan{Layers: pub.Broadcast().Video().Layers, HoldID: 3}}
		p.forChild(&sdp.Section{}, at)
		if len(p.Layers) != 1 || p.HoldID != 0 {
			t.Errorf("%+v", p.plan)
		}
		return p.Layers[0].RID()
	}
	now := time.Now()
	if got := chosen(now); got != "m" {
		t.Errorf("before there is anything: %q", got)
	}
	write("l", 40, 1, now)
	write("m", 80, 1, now)
	write("h", 160, 1, now)
	if got := chosen(now); got != "h" {
		t.Errorf("all are sent, and it gets %q", got)
	}
	later := now.Add(childSilence)
	write("l", 40, 2, later)
	write("m", 80, 2, later)
	if got := chosen(later); got != "m" {
		t.Errorf("the largest is silent, and it gets %q", got)
	}
	write("h", 160, 2, later.Add(childSilence))
	if got := chosen(later.Add(childSilence)); got != "h" {
		t.Errorf("the largest alone is sent, and it gets %q", got)
	}
}
