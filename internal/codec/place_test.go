package codec

import (
	"testing"

	"siaran"
)

func TestPlaceInOnePacket(t *testing.T) {
	tests := []struct {
		name    string
		codec   siaran.CodecName
		payload []byte
		want    siaran.Place
	}{
		{"VP8, key frame", siaran.VP8, vp8Key, siaran.Place{LayerStart: true}},
		{"VP8, no layers", siaran.VP8, []byte{0x10, 1, 0, 0}, siaran.Place{}},
		{"VP8, TID 0", siaran.VP8, []byte{0x90, 0x20, 0x20, 1, 0, 0}, siaran.Place{}},
		{"VP8, TID 1", siaran.VP8, []byte{0x90, 0x20, 0x40, 1, 0, 0}, siaran.Place{Temporal: 1}},
		{"VP8, TID 2, Y", siaran.VP8, []byte{0x90, 0x20, 0xa0, 1, 0, 0}, siaran.Place{Temporal: 2, SwitchUp: true}},
		{"VP8, continued", siaran.VP8, []byte{0x80, 0x20, 0xa0, 1, 0, 0}, siaran.Place{Temporal: 2, SwitchUp: true}},
		{"VP8, N", siaran.VP8, []byte{0x30, 1, 0, 0}, siaran.Place{Temporal: 1, SwitchUp: true}},
		{"VP8, cut off", siaran.VP8, []byte{0x90, 0x20}, siaran.Place{}},
		{"VP9, no layers", siaran.VP9, []byte{0xc8, 1, 0x86}, siaran.Place{}},
		{"VP9, T2 S1 E Z", siaran.VP9, []byte{0xfd, 0x81, 0x02, 0x42, 2}, siaran.Place{
			Temporal: 2, Spatial: 1, LayerEnd: true,
		}},
		{"VP9, not flexible", siaran.VP9, []byte{0xe4, 1, 0x22, 9, 0}, siaran.Place{Temporal: 1, Spatial: 1, LayerEnd: true}},
		{"VP9, cut off", siaran.VP9, []byte{0xfd, 0x81, 0x02}, siaran.Place{}},
		{"H264, IDR", siaran.H264, []byte{0x65, 0x88}, siaran.Place{}},
		{"H264, reference", siaran.H264, []byte{0x21, 0x9a}, siaran.Place{}},
		{"H264, no reference", siaran.H264, []byte{0x01, 0x9a}, siaran.Place{Temporal: 1, SwitchUp: true}},
		{"H264, fragment", siaran.H264, []byte{0x1c, 0x81, 0x9a}, siaran.Place{Temporal: 1, SwitchUp: true}},
		{"H264, continued fragment", siaran.H264, []byte{0x1c, 0x01, 0x9a}, siaran.Place{}},
		{"H264, delimiter alone", siaran.H264, []byte{0x09, 0xf0}, siaran.Place{}},
		{"H264, delimiter and slice", siaran.H264, []byte{0x18, 0, 2, 0x09, 0xf0, 0, 2, 0x01, 0x9a}, siaran.Place{
			Temporal: 1, SwitchUp: true,
		}},
		{"H264, prefix", siaran.H264, []byte{0x2e, 0x80, 0x80, 0x27}, siaran.Place{Temporal: 1}},
		{"H264, prefix of a spare frame", siaran.H264, []byte{0x0e, 0x80, 0x80, 0x47}, siaran.Place{
			Temporal: 2, SwitchUp: true,
		}},
		{"H264, prefix of the base", siaran.H264, []byte{0x2e, 0x80, 0x80, 0x07}, siaran.Place{}},
		{"H265, base", siaran.H265, []byte{0x02, 0x01, 0xd0}, siaran.Place{}},
		{"H265, T1", siaran.H265, []byte{0x02, 0x02, 0xd0}, siaran.Place{Temporal: 1}},
		{"H265, TSA T2", siaran.H265, []byte{0x04, 0x03, 0xd0}, siaran.Place{Temporal: 2, SwitchUp: true}},
		{"H265, STSA fragment", siaran.H265, []byte{0x62, 0x02, 0x84, 0xd0}, siaran.Place{Temporal: 1, SwitchUp: true}},
		{"H265, T0 is none", siaran.H265, []byte{0x02, 0x00, 0xd0}, siaran.Place{}},
		{"AV1, no extension", siaran.AV1, []byte{0x10, 0x30, 0x30}, siaran.Place{}},
		{"AV1, T2", siaran.AV1, []byte{0x10, 0x34, 0x40, 0x30}, siaran.Place{Temporal: 2}},
		{"AV1, continued", siaran.AV1, []byte{0x90, 0x34, 0x40, 0x30}, siaran.Place{}},
		{"AV1, cut off", siaran.AV1, []byte{0x10, 0x34}, siaran.Place{}},
	}
	for _, test := range tests {
		if got := NewFramer(test.codec).Next(test.payload, 0, false).Place; got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
}

// All packets of a frame have the place that its first packet tells.
func TestPlaceOfAWholeFrame(t *testing.T) {
	f := NewFramer(siaran.H264)
	for i, payload := range [][]byte{{0x1c, 0x81, 0x9a}, {0x1c, 0x01, 0}, {0x1c, 0x41, 0}} {
		if got := f.Next(payload, 1, i == 2).Place; got.Temporal != 1 || got.LayerEnd != (i == 2) {
			t.Errorf("packet %d: %+v", i, got)
		}
	}
	// The delimiter has been sent to viewers of the base layer by the time its slice comes.
	for _, payload := range [][]byte{{0x09, 0xf0}, {0x01, 0x9a}} {
		if got := f.Next(payload, 2, false).Place; got.Temporal != 0 {
			t.Errorf("%x: %+v", payload, got)
		}
	}
}

func TestVP9SwitchingPoints(t *testing.T) {
	type frame struct {
		temporal, spatial byte
		key, up           bool // P is not set; U is set
		switchUp          bool // is wanted
		lost              bool // something is missing before it
	}
	frames := []frame{
		{key: true},
		{temporal: 2, switchUp: true}, // after a key frame, any layer can be begun
		{temporal: 1, switchUp: true},
		{temporal: 2},
		{up: true},
		{temporal: 2, switchUp: true},
		{temporal: 2}, // needs the one before, perhaps
		{temporal: 1, up: true, switchUp: true},
		{temporal: 2, switchUp: true},
		{},
		{temporal: 1},
		{up: true},
		{temporal: 1, spatial: 1}, // U counts for its own spatial layer
		{temporal: 1, switchUp: true},
		{up: true},
		{temporal: 1, lost: true}, // the missing frame may have been of this layer
	}
	f := NewFramer(siaran.VP9)
	for i, c := range frames {
		flags := byte(vp9HasID | vp9HasLayer | vp9Begins)
		if !c.key {
			flags |= vp9Predicted
		}
		layer := c.temporal<<5 | c.spatial<<1
		if c.up {
			layer |= 0x10
		}
		if c.lost {
			f.Lost()
		}
		for _, packet := range []byte{flags, flags &^ vp9Begins} {
			got := f.Next([]byte{packet, 1, layer, 0, 0x86}, int64(i), false).Place
			want := siaran.Place{Temporal: c.temporal, Spatial: c.spatial, SwitchUp: c.switchUp, LayerStart: c.key}
			if got != want {
				t.Errorf("frame %d: %+v, want %+v", i, got, want)
			}
		}
	}
}
