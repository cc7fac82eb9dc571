package codec

import (
	"testing"

	"siaran"
)

// backward counts frames of a recording that are shown before one that was sent before.
func backward(t *testing.T, codec siaran.CodecName, file string) (n int) {
	t.Helper()
	for _, f := range frames(codec, readRecorded(t, file)) {
		if f.Backward {
			n++
		}
	}
	return n
}

func TestBFramesAreSeen(t *testing.T) {
	for file, test := range map[string]struct {
		codec siaran.CodecName
		want  int
	}{
		"../obs/h264-bframes.rtp": {siaran.H264, 39}, // whose timestamps rise from frame to frame
		"h265-bframes.rtp":        {siaran.H265, 30}, // as ffprobe counts them
	} {
		if got := backward(t, test.codec, file); got != test.want {
			t.Errorf("%s: %d B-frames, want %d", file, got, test.want)
		}
	}
	for _, r := range recordings {
		if got := backward(t, r.codec, r.file); got != 0 {
			t.Errorf("%s: %d B-frames", r.file, got)
		}
	}
}

// Encoders of H265 that never reorder use B slices all the same: only the order of the pictures counts.
func TestH265OrderOfPictures(t *testing.T) {
	var g h265Grammar
	needed := setChain{{slices: h265SliceFields{count: 4}}, {slices: h265SliceFields{skipped: 1, output: true}}}
	slice := func(number uint8, kind, count uint) unit {
		var w bitWriter
		w.bits(1, 1)
		if number >= 16 {
			w.bits(0, 1)
		}
		w.golomb(0)
		w.bits(0, 1)
		w.golomb(kind)
		w.bits(0, 1)
		w.bits(count, 4)
		w.bits(1, 1)
		return unit{number: number, body: w.b}
	}
	const trail, idr, cra, b, p = 1, 19, 21, 0, 1
	var order pictureOrder
	for i, step := range []struct {
		slice unit
		want  bool
	}{
		{slice(trail, p, 9), false}, // nothing is known of what came before
		{slice(idr, b, 0), false},
		{slice(trail, b, 4), false},
		{slice(trail, b, 2), true},
		{slice(trail, b, 3), true},
		{slice(trail, p, 5), false},
		{slice(trail, b, 12), false},
		{slice(trail, b, 3), false}, // 19 in four bits
		{slice(trail, b, 1), true},
		{slice(cra, p, 0), false},
		{slice(trail, p, 15), true}, // shown before its key frame
		{slice(trail, p, 1), false},
	} {
		if got := g.backward(step.slice, needed, &order); got != step.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
	if g.backward(slice(trail, b, 0), nil, &order) || g.backward(unit{number: trail}, needed, &order) {
		t.Error("what cannot be read is called a B-frame")
	}
}
