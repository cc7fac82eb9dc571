package egress

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
)

// svc are the packets of pictures with spatial layers, two packets for each, whose base layer has temporal layers in
// turn. keys are the pictures that are key frames.
func svc(pictures, spatial int, temporal []uint8, keys ...int) (list []*siaran.Packet) {
	key := make(map[int]bool)
	for _, k := range keys {
		key[k] = true
	}
	since := 0
	for n := range pictures {
		if key[n] {
			since = 0
		}
		tid := temporal[since%len(temporal)]
		since++
		for s := range spatial {
			for half := range 2 {
				end := half == 1 && s == spatial-1
				list = append(list, &siaran.Packet{
					Seq: int64(len(list)), Timestamp: int64(n) * 3000, Marker: end, FrameEnd: end,
					Keyframe: key[n] && s == 0 && half == 0,
					Place: siaran.Place{
						Temporal: tid, Spatial: uint8(s), SwitchUp: tid > 0, LayerStart: key[n], LayerEnd: half == 1,
					},
				})
			}
		}
	}
	return list
}

// sentOf says which packets of a picture a viewer gets, such as "0 1!": the highest spatial layers, and the marker.
func sentOf(s *selector, packets []*siaran.Packet) []string {
	var list []string
	stamp := int64(-1)
	for i, p := range packets {
		if p.Timestamp != stamp {
			stamp = p.Timestamp
			list = append(list, "")
		}
		if !s.passes(p) {
			continue
		}
		var next *siaran.Packet
		if i+1 < len(packets) {
			next = packets[i+1]
		}
		mark := ""
		if s.ends(p, next) {
			mark = "!"
		}
		list[len(list)-1] += fmt.Sprint(p.Spatial) + mark
	}
	return list
}

func TestSpatialLayersAreLeftOut(t *testing.T) {
	packets := svc(12, 3, []uint8{0, 1}, 0, 8)
	const picture = 6 // packets
	s := &selector{given: rung{spatial: 3, temporal: 3}}
	s.restart()
	got := sentOf(s, packets[:2*picture])
	s.given.spatial = 1
	got = append(got, sentOf(s, packets[2*picture:4*picture])...)
	s.given.temporal = 0
	got = append(got, sentOf(s, packets[4*picture:6*picture])...)
	s.given.spatial, s.given.temporal = 3, 3
	got = append(got, sentOf(s, packets[6*picture:])...)
	want := "001122! 001122! 0011! 0011! 0011!  0011! 0011! 001122! 001122! 001122! 001122!"
	if strings.Join(got, " ") != want {
		t.Errorf("got  %q\nwant %q", strings.Join(got, " "), want)
	}
}

// A viewer that begins in the middle gets nothing before the next key frame, and one that gets key frames only gets all
// of each.
func TestKeyframesOfSpatialLayers(t *testing.T) {
	packets := svc(9, 2, []uint8{0}, 3, 6)
	s := &selector{given: rung{spatial: 3, temporal: 3, extent: keyFrames}}
	s.restart()
	got := strings.Join(sentOf(s, packets[:32]), " ")
	s.given.extent = wholeFrames
	got += " " + strings.Join(sentOf(s, packets[32:]), " ")
	if want := "   0011!   0011!  "; got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// A descriptor that breaks off or lies: layers that begin nowhere are not taken, and nothing panics.
func TestSpatialLayersThatLie(t *testing.T) {
	packets := svc(8, 3, []uint8{0, 2, 3, 1}, 0)
	for i, p := range packets {
		p.LayerStart, p.SwitchUp, p.LayerEnd = i == 0, i%3 == 0, i%5 == 0
		p.Temporal = uint8(i % 4)
	}
	s := &selector{given: rung{spatial: 3, temporal: 3}}
	s.restart()
	for _, sent := range sentOf(s, packets) {
		if strings.ContainsAny(sent, "12") {
			t.Errorf("a spatial layer above the base: %q", sent)
		}
	}
}

// The clocks of two layers differ by an hour: their timestamps continue by the arrivals.
func TestLayersWhoseClocksDiffer(t *testing.T) {
	hub := siaran.NewHub(time.Minute, codec.NewFramer)
	t.Cleanup(hub.Close)
	pub, err := hub.Publish("cats", "owner", []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: []string{"l", "h"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for i, off := range []time.Duration{0, time.Hour} {
		w := pub.Writers()[i]
		key := []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 9, 0, 9, 0, 1}
		if err := w.Write(1, int64(i)*1e6, true, key, now); err != nil {
			t.Fatal(err)
		}
		w.SetClock(now.Add(off), int64(i)*1e6)
	}
	layers := pub.Broadcast().Video().Layers
	if got := distance(layers[0], layers[1], now, 90000); got != -1e6 {
		t.Errorf("the clocks differ by an hour, and %d is added", got)
	}
	pub.Writers()[1].SetClock(now.Add(50*time.Millisecond), 1e6)
	if got := distance(layers[0], layers[1], now, 90000); got != -1e6+4500 {
		t.Errorf("the clocks differ by 50 ms, and %d is added", got)
	}
}
