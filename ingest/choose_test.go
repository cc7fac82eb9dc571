package ingest

import (
	"testing"

	"siaran"
	"siaran/internal/sdp"
)

func TestPreferenceOfCodecs(t *testing.T) {
	offer, err := sdp.ParseOffer([]byte(readOffer(t, "whip-chromium")))
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		order []siaran.CodecName
		want  uint8
		rtx   uint8
	}{
		{videoCodecs, 108, 109}, // constrained baseline, packetization mode 1
		{[]siaran.CodecName{siaran.VP8, siaran.H264}, 96, 97},
		{[]siaran.CodecName{siaran.H265, siaran.AV1}, 45, 46},
		{[]siaran.CodecName{siaran.VP9}, 98, 99}, // profile 0
	} {
		c, found := bestCodec(offer.Sections[0].Codecs, test.order)
		if !found || c.PayloadType != test.want || c.RTX != test.rtx {
			t.Errorf("%v: %d with %d", test.order, c.PayloadType, c.RTX)
		}
	}
}

func TestMainProfileOfH265ComesFirst(t *testing.T) {
	for fmtp, want := range map[string]int{ // RFC 7798 section 7.1
		"": 0, "profile-id=1;tier-flag=0": 0, "level-id=93;tx-mode=SRST": 0, "level-id=180;profile-id=2": 1,
	} {
		if got := profileRank(siaran.Codec{Name: siaran.H265, FMTP: fmtp}); got != want {
			t.Errorf("%q: rank %d, want %d", fmtp, got, want)
		}
	}
}

func TestProfileRank(t *testing.T) {
	rank := func(fmtp string) int { return profileRank(siaran.Codec{Name: siaran.H264, FMTP: fmtp}) }
	order := []string{ // best first
		"packetization-mode=1;profile-level-id=42e01f", "profile-level-id=42001f; packetization-mode=1",
		"packetization-mode=1;profile-level-id=640c1f",
		"profile-level-id=42C01F", "packetization-mode=0;profile-level-id=42001f", "",
	}
	for i, fmtp := range order[1:] {
		if rank(order[i]) >= rank(fmtp) {
			t.Errorf("%q does not come before %q", order[i], fmtp)
		}
	}
}
