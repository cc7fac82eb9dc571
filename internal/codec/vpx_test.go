package codec

import (
	"slices"
	"testing"

	"siaran"
)

// vp8Key is the first packet of a key frame of 640x480.
var vp8Key = []byte{0x10, 0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x80, 0x02, 0xe0, 0x01}

// edited is a copy with some bytes changed, at the given places.
func edited(payload []byte, changes map[int]byte) []byte {
	payload = slices.Clone(payload)
	for i, b := range changes {
		payload[i] = b
	}
	return payload
}

func TestFramerOfSinglePackets(t *testing.T) {
	vp9 := readRecorded(t, "vp9-flexible.rtp")[0].payload // flags, two bytes of picture id, frame
	frame := vp9[3:]
	av1 := readRecorded(t, "av1-aom.rtp")[0].payload
	if vp9[0] != 0x98 || av1[0] != 0x28 && av1[0] != 0x68 {
		t.Fatalf("the recordings begin with %x and %x", vp9[0], av1[0])
	}
	sequence := av1Sequence(t, av1)
	layered := func(flags, layer byte, structure ...byte) []byte { // with I, L, F and B, and a short picture id
		return slices.Concat([]byte{0xb8 | flags, 1, layer}, structure, frame)
	}
	tests := []struct {
		name          string
		codec         siaran.CodecName
		payload       []byte
		key           bool
		width, height int
	}{
		{"VP8", siaran.VP8, vp8Key, true, 640, 480},
		{"VP8, with all of the descriptor", siaran.VP8, append([]byte{0x90, 0xf0, 0x80, 0x01, 0x02, 0x03}, vp8Key[1:]...),
			true, 640, 480},
		{"VP8, a large size with scaling", siaran.VP8, edited(vp8Key, map[int]byte{8: 0x42}), true, 640, 480},
		{"VP8, size 0", siaran.VP8, edited(vp8Key, map[int]byte{7: 0, 8: 0}), true, 0, 0},
		{"VP8, continued partition", siaran.VP8, edited(vp8Key, map[int]byte{0: 0x00}), false, 0, 0},
		{"VP8, second partition", siaran.VP8, edited(vp8Key, map[int]byte{0: 0x11}), false, 0, 0},
		{"VP8, no start code", siaran.VP8, edited(vp8Key, map[int]byte{4: 0}), false, 0, 0},
		{"VP8, cut off", siaran.VP8, vp8Key[:9], false, 0, 0},
		{"VP9", siaran.VP9, vp9, true, 320, 240},
		{"VP9, continued frame", siaran.VP9, edited(vp9, map[int]byte{0: 0x90}), false, 0, 0},
		{"VP9, predicted", siaran.VP9, edited(vp9, map[int]byte{0: 0xd8}), false, 0, 0},
		{"VP9, bytes of an inter frame", siaran.VP9, edited(vp9, map[int]byte{3: frame[0] | 0x04}), false, 0, 0},
		{"VP9, lowest layer", siaran.VP9, layered(0, 0x00), true, 320, 240},
		{"VP9, higher layer", siaran.VP9, layered(0, 0x02), false, 0, 0},
		{"VP9, predicted from the layer below", siaran.VP9, layered(0, 0x01), false, 0, 0},
		{"VP9, scalability structure", siaran.VP9, layered(0x02, 0x00, 0x30, 1, 0x40, 0, 0xf0, 2, 0x80, 1, 0xe0), true, 640,
			480},
		{"AV1", siaran.AV1, av1, true, 320, 240},
		{"AV1, continued", siaran.AV1, edited(av1, map[int]byte{0: av1[0] | 0x80}), false, 0, 0},
		{"AV1, sequence header alone", siaran.AV1, append([]byte{0x18}, sequence...), true, 320, 240},
		{"AV1, sequence header cut off", siaran.AV1, append([]byte{0x58}, sequence...), false, 0, 0},
		{"AV1, sequence header with size and extension", siaran.AV1,
			slices.Concat([]byte{0x18, sequence[0] | 6, 0, byte(len(sequence) - 1)}, sequence[1:]), true, 320, 240},
		{"AV1, after a delimiter", siaran.AV1, slices.Concat([]byte{0x08, 1, 2 << 3, byte(len(sequence))}, sequence), true,
			320, 240},
		{"AV1, key frame without a sequence header", siaran.AV1, []byte{0x10, 6 << 3, 0x10, 0}, false, 0, 0},
		{"AV1, sequence header and inter frame", siaran.AV1,
			slices.Concat([]byte{0x28, byte(len(sequence))}, sequence, []byte{6 << 3, 0x30, 0}), false, 0, 0},
		{"AV1, sequence header and frame shown again", siaran.AV1,
			slices.Concat([]byte{0x28, byte(len(sequence))}, sequence, []byte{3 << 3, 0x80, 0}), false, 0, 0},
		{"AV1, length beyond the packet", siaran.AV1, []byte{0x00, 0xff, 0x7f, 1 << 3}, false, 0, 0},
		{"AV1, forbidden bit", siaran.AV1, []byte{0x18, 0x88, 0, 0}, false, 0, 0},
	}
	for _, codec := range []siaran.CodecName{siaran.H264, siaran.H265, siaran.VP8, siaran.VP9, siaran.AV1} {
		for _, payload := range [][]byte{nil, {0}, {0xff}, {0x10}, {0xff, 0xff, 0xff, 0xff}} {
			if got := NewFramer(codec).Next(payload, 0, false); got.Keyframe || got.End {
				t.Errorf("%s: %x is %+v", codec, payload, got)
			}
		}
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := NewFramer(test.codec).Next(test.payload, 0, false)
			if got.Keyframe != test.key || got.Width != test.width || got.Height != test.height || got.End {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestFramerOfAV1Layers(t *testing.T) {
	payload := append([]byte{0x18}, av1Sequence(t, readRecorded(t, "av1-aom.rtp")[0].payload)...)
	f := NewFramer(siaran.AV1)
	for i, want := range []bool{true, false, true} { // the second is that of a higher layer
		if i == 2 {
			f.Lost()
		}
		if got := f.Next(payload, 3000, false); got.Keyframe != want {
			t.Errorf("sequence header %d of a temporal unit: %+v", i, got)
		}
	}
	if got := f.Next(payload, 6000, false); !got.Keyframe {
		t.Errorf("the next: %+v", got)
	}
}

// av1Sequence is the sequence header in a payload, as an element.
func av1Sequence(t *testing.T, payload []byte) []byte {
	t.Helper()
	size := int(payload[1])
	if size >= 0x80 || payload[2]>>3 != 1 {
		t.Fatalf("%x does not begin with a sequence header", payload[:4])
	}
	return payload[2 : 2+size]
}
