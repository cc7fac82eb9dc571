package egress

import (
	"testing"
	"time"

	"github.com/pion/rtcp"

	"siaran"
)

// A viewer that gets key frames only gets all of each, wherever the encoder sets the marker.
func TestThinnedViewersGetWholeKeyframes(t *testing.T) {
	for name, end := range map[string]func(last bool) bool{
		"right":  func(last bool) bool { return last },
		"always": func(bool) bool { return true },
		"never":  func(bool) bool { return false },
	} {
		track := track{layer: new(siaran.Layer), gate: lossGate{keyframesOnly: true}}
		for seq := range int64(40) {
			frame, place := seq/4, seq%4
			key := frame%3 == 1
			p := &siaran.Packet{Seq: seq, Timestamp: frame * 3000, Keyframe: key && place == 0, FrameEnd: end(place == 3)}
			if got := track.keep(p); got != key {
				t.Errorf("marker %s: packet %d of frame %d is kept: %v", name, place, frame, got)
			}
		}
	}
}

func TestThinnerNeedsWindowsInARow(t *testing.T) {
	var th lossGate
	for _, share := range []int{200, 0, 200, 0, 200} {
		if th.decide(share, 0); th.keyframesOnly {
			t.Fatal("on after single bad windows")
		}
	}
	if th.decide(200, 0); !th.keyframesOnly {
		t.Fatal("still off after two bad windows in a row")
	}
	th.decide(0, 0)
	th.decide(200, 0)
	th.decide(0, 0)
	if th.leave() {
		t.Fatal("left after single good windows")
	}
	th.decide(0, 0)
	if !th.leave() || th.keyframesOnly {
		t.Fatal("still on after two good windows in a row")
	}
}

// A browser reports with each negative acknowledgement, here after a lost packet of three.
func TestThinnerCountsPacketsNotReports(t *testing.T) {
	report := func(highest, lost uint32) rtcp.ReceptionReport {
		return rtcp.ReceptionReport{LastSequenceNumber: highest, TotalLost: lost & 0xff_ffff, FractionLost: 85}
	}
	for _, c := range []struct {
		name   string
		packet int // how many of the packets one is lost of
		on     bool
	}{{"5 %", 20, false}, {"20 %", 5, false}, {"33 %", 3, true}, {"50 %", 2, true}} {
		var th lossGate
		now, lost := time.Unix(100, 0), uint32(1<<24-5) // below 0, as duplicates make it
		for n := range 600 {
			now = now.Add(15 * time.Millisecond)
			if n%c.packet == 0 {
				lost++
				if share := th.report(report(uint32(n), lost), now); share >= 0 {
					th.decide(share, 0)
				}
			}
		}
		if th.keyframesOnly != c.on {
			t.Errorf("%s lost: on is %v", c.name, th.keyframesOnly)
		}
	}
	var th lossGate
	now := time.Unix(100, 0)
	for _, r := range []rtcp.ReceptionReport{
		report(1<<32-10, 3), report(50, 43), report(40, 0), report(1<<31, 1<<23), report(60, 0),
	} {
		th.report(r, now)
		now = now.Add(2 * time.Second)
	}
	if th.keyframesOnly {
		t.Error("on after the numbers have started again")
	}
}

// A frame may be taken for a key frame twice: at a parameter set, and where one that it lacks is put before its slice.
// It has no gap there.
func TestKeyframeThatBeginsTwice(t *testing.T) {
	x := track{layer: new(siaran.Layer), gate: lossGate{keyframesOnly: true}, cut: true}
	for i, p := range []*siaran.Packet{
		{Seq: 10, Timestamp: 7, Keyframe: true}, {Seq: 11, Timestamp: 7, Keyframe: true}, {Seq: 12, Timestamp: 7},
	} {
		if !x.keep(p) {
			t.Fatalf("packet %d is left out", p.Seq)
		}
		if out := x.seq.assign(p.Seq); out != int64(i)+1 {
			t.Errorf("packet %d goes out as %d", p.Seq, out)
		}
		x.cut = true
	}
}
