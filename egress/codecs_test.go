package egress

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
)

func offerOf(t *testing.T, name string) *sdp.Offer {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../internal/sdp/testdata/offers", name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	offer, err := sdp.ParseOffer(text)
	if err != nil {
		t.Fatal(err)
	}
	return offer
}

// TestPayloadTypeFollowsWhatIsSent: of the payload types that real viewers offer, the one whose parameters fit is
// taken; 0 stands for none.
func TestPayloadTypeFollowsWhatIsSent(t *testing.T) {
	const mode = ";packetization-mode=1;level-asymmetry-allowed=1"
	for _, test := range []struct {
		offer string
		name  siaran.CodecName
		fmtp  string
		want  uint8
	}{
		{"whep-chromium", siaran.H264, "profile-level-id=42e01f" + mode, 108},
		{"whep-chromium", siaran.H264, "profile-level-id=42c028" + mode, 108}, // constrained baseline too
		{"whep-chromium", siaran.H264, "profile-level-id=420028" + mode, 102},
		{"whep-chromium", siaran.H264, "profile-level-id=4D0028" + mode, 116},
		{"whep-chromium", siaran.H264, "profile-level-id=640033" + mode, 41},
		{"whep-chromium", siaran.H264, "profile-level-id=6e0033" + mode, 102}, // the viewer may have a decoder all the same
		{"whep-chromium", siaran.H264, "", 102},
		{"whep-chromium", siaran.VP9, "profile-id=0", 98},
		{"whep-chromium", siaran.VP9, "profile-id=2", 100},
		{"whep-chromium", siaran.VP9, "", 98},
		{"whep-chromium", siaran.AV1, "profile=0;level-idx=8;tier=0", 45},
		{"whep-chromium", siaran.AV1, "profile=1;level-idx=8;tier=0", 47},
		{"whep-chromium", siaran.AV1, "profile=2", 0},
		{"whep-chromium", siaran.H265, "", 0},
		{"whep-chrome-h265", siaran.H265, "", 49},
		{"whep-chrome-h265", siaran.H265, "level-id=180;profile-id=1;tier-flag=0;tx-mode=SRST", 49},
		{"whep-chrome-h265", siaran.H265, "profile-id=2;tier-flag=0;level-id=93", 51},
		{"whep-chrome-h265", siaran.H265, "profile-id=4;tier-flag=0;level-id=93", 0},
		{"whep-safari-h265", siaran.H265, "profile-id=1;tier-flag=0;level-id=123", 122},
		{"whep-safari-h265", siaran.H265, "profile-id=2;tier-flag=0;level-id=123", 0},
		{"whep-gstreamer", siaran.H264, "profile-level-id=640033" + mode, 96},
		{"whep-pion", siaran.H265, "level-id=93;tx-mode=SRST", 116},
	} {
		offer := offerOf(t, test.offer)
		got := uint8(0)
		sent := siaran.Codec{Name: test.name, ClockRate: 90000, FMTP: test.fmtp}
		if c := choose(offer.Sections[videoSection(offer)].Codecs, sent); c != nil {
			got = c.PayloadType
		}
		if got != test.want {
			t.Errorf("%s: %s %q is sent as %d, want %d", test.offer, test.name, test.fmtp, got, test.want)
		}
	}
}

func TestSoundOfMoreThanTwoChannels(t *testing.T) {
	sent := siaran.Codec{
		Name: siaran.MultiOpus, ClockRate: 48000, Channels: 6,
		FMTP: "channel_mapping=0,4,1,2,3,5;num_streams=4;coupled_streams=2",
	}
	other := sent
	other.FMTP = "channel_mapping=0,1,2,3,4,5;num_streams=4;coupled_streams=2"
	more := sent
	more.Channels = 8
	stereo := siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2}
	offer := offerOf(t, "whep-chromium-multiopus")
	for _, test := range []struct {
		sent siaran.Codec
		want uint8
	}{{sent, 70}, {other, 0}, {more, 0}, {stereo, 111}} {
		got := uint8(0)
		if c := choose(offer.Sections[1].Codecs, test.sent); c != nil {
			got = c.PayloadType
		}
		if got != test.want {
			t.Errorf("%s/%d %q is sent as %d, want %d", test.sent.Name, test.sent.Channels, test.sent.FMTP, got, test.want)
		}
	}
}

// OBS announces constrained baseline whatever its encoder makes.
func TestBitstreamCountsForMoreThanTheOffer(t *testing.T) {
	announced := siaran.Codec{Name: siaran.H264, ClockRate: 90000, FMTP: "profile-level-id=42e01f;packetization-mode=1"}
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(hub.Close)
	pub, err := hub.Publish("s", "o", []siaran.TrackSpec{{Codec: announced}})
	if err != nil {
		t.Fatal(err)
	}
	track := pub.Broadcast().Video()
	if got := sentCodec(track); got != announced {
		t.Errorf("before the first key frame: %+v", got)
	}
	data, err := os.ReadFile("../internal/codec/testdata/frames/h264-slices.rtp") // of the profile High
	if err != nil {
		t.Fatal(err)
	}
	for seq := int64(0); len(data) > 7; seq++ {
		size := 7 + int(binary.BigEndian.Uint16(data))
		stamp := int64(binary.BigEndian.Uint32(data[2:]))
		if err := pub.Writer(siaran.KindVideo, "").Write(seq, stamp, data[6] != 0, data[7:size], time.Now()); err != nil {
			t.Fatal(err)
		}
		data = data[size:]
	}
	offer := offerOf(t, "whep-chromium")
	plans, err := planSections(offer, pub.Broadcast(), false)
	if err != nil {
		t.Fatal(err)
	}
	if got := plans[videoSection(offer)].codec.PayloadType; got != 41 {
		t.Errorf("High is sent as payload type %d", got)
	}
}
