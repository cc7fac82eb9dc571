package codec

import (
	"math"
	"testing"

	"siaran"
)

func TestFormatsOfRealEncoders(t *testing.T) {
	for file, test := range map[string]struct {
		codec siaran.CodecName
		want  siaran.Format
	}{
		"h264.rtp": {siaran.H264, siaran.Format{
			Profile: "Constrained Baseline", Level: "1.1", FMTP: "profile-level-id=42c00b", FrameRate: 10,
		}},
		"h264-slices.rtp": {siaran.H264, siaran.Format{
			Profile: "High", Level: "1.1", FMTP: "profile-level-id=64000b", FrameRate: 10,
		}},
		"../obs/h264-bframes.rtp": {siaran.H264, siaran.Format{
			Profile: "High", Level: "3.0", FMTP: "profile-level-id=64001e", FrameRate: 30,
		}},
		"h265.rtp": {siaran.H265, siaran.Format{
			Profile: "Main", Level: "2.0", FMTP: "profile-id=1;tier-flag=0;level-id=60", FrameRate: 10,
		}},
		"vp8.rtp": {siaran.VP8, siaran.Format{}},
		"vp9.rtp": {siaran.VP9, siaran.Format{
			Profile: "Profile 0", FMTP: "profile-id=0",
		}},
		"vp9-structure.rtp": {siaran.VP9, siaran.Format{
			Profile: "Profile 0", FMTP: "profile-id=0",
		}},
		"av1-aom.rtp": {siaran.AV1, siaran.Format{
			Profile: "Main", Level: "2.0", FMTP: "profile=0;level-idx=0;tier=0",
		}},
		"../obs/av1-svt.rtp": {siaran.AV1, siaran.Format{
			Profile: "Main", Level: "2.1", FMTP: "profile=0;level-idx=1;tier=0",
		}},
	} {
		var got siaran.Format
		for _, f := range frames(test.codec, readRecorded(t, file)) {
			if f.Format != nil {
				got = *f.Format
			}
		}
		if got != test.want {
			t.Errorf("%s: %#v, want %#v", file, got, test.want)
		}
	}
}

func TestH264Profiles(t *testing.T) {
	for id, want := range map[[3]byte][2]string{ // RFC 6184 table 5
		{0x42, 0xe0, 31}: {"Constrained Baseline", "3.1"},
		{0x42, 0xc0, 30}: {"Constrained Baseline", "3.0"},
		{0x4d, 0x80, 40}: {"Constrained Baseline", "4.0"},
		{0x58, 0xc0, 40}: {"Constrained Baseline", "4.0"},
		{0x42, 0x00, 31}: {"Baseline", "3.1"},
		{0x42, 0x10, 11}: {"Baseline", "1b"},
		{0x4d, 0x00, 31}: {"Main", "3.1"},
		{0x58, 0x00, 31}: {"Extended", "3.1"},
		{0x64, 0x00, 51}: {"High", "5.1"},
		{0x64, 0x0c, 31}: {"Constrained High", "3.1"},
		{0x6e, 0x00, 31}: {"High 10", "3.1"},
		{0x7a, 0x00, 31}: {"High 4:2:2", "3.1"},
		{0xf4, 0x00, 31}: {"High 4:4:4 Predictive", "3.1"},
		{0x2c, 0x00, 31}: {"profile 44", "3.1"},
	} {
		if f := h264Format(id, 0); f.Profile != want[0] || f.Level != want[1] {
			t.Errorf("%x: %s %s, want %s %s", id, f.Profile, f.Level, want[0], want[1])
		}
	}
}

func TestImpossibleFrameRates(t *testing.T) {
	for _, rate := range []float64{math.NaN(), math.Inf(1), -1, 0, 1e9} {
		if got := saneRate(rate); got != 0 {
			t.Errorf("%v became %v", rate, got)
		}
	}
	if got := saneRate(30000.0 / 1001); got != 29.97 {
		t.Error(got)
	}
}
