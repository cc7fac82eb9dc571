package ingest

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/sdp"
)

// sent are packets as internal/codec/testdata/layers/README.md has them, as Chromium would send them.
func sent(t *testing.T, name string, payloadType, extension uint8) (list []*rtp.Packet) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "internal", "codec", "testdata", "layers", name+".rtp"))
	if err != nil {
		t.Fatal(err)
	}
	for len(data) >= 8 {
		size, described := int(binary.BigEndian.Uint16(data)), int(data[7])
		p := &rtp.Packet{Header: rtp.Header{
			Version: 2, PayloadType: payloadType, SSRC: 77, SequenceNumber: uint16(len(list)),
			Timestamp: binary.BigEndian.Uint32(data[2:]), Marker: data[6] != 0,
		}, Payload: data[8 : 8+size]}
		if described > 0 {
			p.Extension, p.ExtensionProfile = true, rtp.ExtensionProfileOneByte
			if described > 16 {
				p.ExtensionProfile = rtp.ExtensionProfileTwoByte
			}
			if err := p.SetExtension(extension, data[8+size:8+size+described]); err != nil {
				t.Fatal(err)
			}
		}
		list = append(list, p)
		data = data[8+size+described:]
	}
	return list
}

// offering is an offer of one video section as Chromium's, with a codec and lines of its own.
func offering(codec, lines string) string {
	return strings.ReplaceAll("v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\na=group:BUNDLE 0\n"+
		"m=video 9 UDP/TLS/RTP/SAVPF 45 46\nc=IN IP4 0.0.0.0\na=ice-ufrag:abcd\na=ice-pwd:abcdefghijklmnopqrstuv\n"+
		"a=fingerprint:sha-256 "+strings.Repeat("AB:", 31)+"AB\na=setup:actpass\na=mid:0\na=sendonly\na=rtcp-mux\n"+
		"a=rtpmap:45 "+codec+"/90000\na=rtpmap:46 rtx/90000\na=fmtp:46 apt=45\na=ssrc-group:FID 77 78\n"+
		"a=ssrc:77 cname:x\na=ssrc:78 cname:x\n"+lines, "\n", "\r\n")
}

const descriptorLines = "a=extmap-allow-mixed\na=extmap:13 " + sdp.URIDescriptor + "\n"

func TestDescriptorsAreTakenWhereTheyHelp(t *testing.T) {
	for codec, want := range map[string]bool{"AV1": true, "H264": true, "H265": true, "VP8": false, "VP9": false} {
		_, answer, err := answerTo(offering(codec, descriptorLines))
		if err != nil {
			t.Fatal(err)
		}
		mixed := strings.Contains(string(answer), "a=extmap-allow-mixed\r\n")
		if got := strings.Contains(string(answer), "a=extmap:13 "+sdp.URIDescriptor+"\r\n"); got != want || mixed != want {
			t.Errorf("%s: taken %v, longer extensions %v, want %v", codec, got, mixed, want)
		}
	}
	_, answer, err := answerTo(offering("AV1", "a=extmap:13 "+sdp.URIDescriptor+"\n"))
	if err != nil || strings.Contains(string(answer), sdp.URIDescriptor) {
		t.Errorf("taken though its structures would be too long: %v\n%s", err, answer)
	}
	session := strings.Replace(offering("AV1", "a=extmap:13 "+sdp.URIDescriptor+"\n"), "t=0 0\r\n",
		"t=0 0\r\na=extmap-allow-mixed\r\n", 1)
	offer, err := sdp.ParseOffer([]byte(session))
	if err != nil || !offer.Sections[0].Mixed {
		t.Errorf("longer extensions are allowed for the whole session: %v", err)
	}
}

// places are the spatial and temporal layers of the hub's packets, as letters: a is S0 T0, b S0 T1, e S1 T0.
func (b *bench) places() string {
	var letters []byte
	for _, p := range b.packets(siaran.KindVideo, "") {
		letters = append(letters, 'a'+p.Spatial*4+p.Temporal)
	}
	return string(letters)
}

func TestDescribedLayers(t *testing.T) {
	for _, test := range []struct{ name, codec, file, lines, want string }{
		{"AV1", "AV1", "av1-l1t3-described", descriptorLines, "acbcacbcacbcacbcacbcacbc"},
		{"AV1 with spatial layers", "AV1", "av1-l3t3-key-described", descriptorLines, "aecgbfcgaecgbfcgae"},
		{"AV1 without a descriptor", "AV1", "av1-l1t3", "", "acbcacbcacbcacbcacbcacbc"},
		{"H264", "H264", "h264-l1t3-described", descriptorLines, "acbcacbcacbcacbcacbcacbc"},
		{"H264 without a descriptor", "H264", "h264-l1t3", "", "abab" + "abababababababababab"},
		{"VP8", "VP8", "vp8-l1t3", descriptorLines, "acbcacbcacbcacbcacbcacbc"},
		{"VP9", "VP9", "vp9-l3t3-key", descriptorLines, "aecgbfcgaecgbfcgae"},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBench(t, offering(test.codec, test.lines))
			for _, p := range sent(t, test.file, 45, 13) {
				b.take(p)
			}
			b.now = b.now.Add(time.Second)
			b.receiver.measure(b.now)
			if got := b.places(); got != test.want {
				t.Errorf("layers %s, want %s", got, test.want)
			}
			for _, p := range b.packets(siaran.KindVideo, "") {
				if p.Marker && !p.LayerEnd {
					t.Errorf("packet %d: its frame ends: %v", p.Seq, p.LayerEnd)
				}
			}
		})
	}
}

// Frames of AV1 with spatial layers stay as they came for those who take descriptors, and are joined for all others.
func TestSpatialLayersAreKeptApart(t *testing.T) {
	b := newBench(t, offering("AV1", descriptorLines))
	packets := sent(t, "av1-l3t3-key-described", 45, 13)
	for _, p := range packets {
		b.take(p)
	}
	b.now = b.now.Add(time.Second)
	b.receiver.measure(b.now)
	for i, got := range b.packets(siaran.KindVideo, "") {
		p := packets[i]
		if got.Apart == nil || !bytes.Equal(got.Apart.Payload, p.Payload) ||
			!bytes.Equal(got.Apart.Descriptor, p.GetExtension(13)) {
			t.Errorf("packet %d is kept as %+v", i, got.Apart)
		}
		const continued = 0x80
		if joined := got.Payload[0]&continued != 0; joined != (got.Spatial > 0) {
			t.Errorf("packet %d of spatial layer %d continues the one before: %v", i, got.Spatial, joined)
		}
	}
}

// A descriptor is read in the order in which packets were sent, and a retransmission has the one of its original.
func TestDescriptorsOfLatePackets(t *testing.T) {
	b := newBench(t, offering("AV1", descriptorLines))
	packets := sent(t, "av1-l1t3-described", 45, 13)
	packets[2], packets[3] = packets[3], packets[2]
	late := packets[5]
	repair := *late
	repair.SSRC, repair.PayloadType, repair.SequenceNumber = 78, 46, 900
	repair.Payload = append(binary.BigEndian.AppendUint16(nil, late.SequenceNumber), late.Payload...)
	packets[5], packets[6], packets[7] = packets[6], packets[7], &repair
	for _, p := range packets {
		b.take(p)
	}
	b.now = b.now.Add(time.Second)
	b.receiver.measure(b.now)
	if got, want := b.places(), strings.Repeat("acbc", 6); got != want {
		t.Errorf("layers %s, want %s", got, want)
	}
}

// Broken descriptors change nothing but what is known of layers.
func TestBrokenDescriptorsAreIgnored(t *testing.T) {
	b := newBench(t, offering("AV1", descriptorLines))
	for i, p := range sent(t, "av1-l1t3-described", 45, 13) {
		if err := p.SetExtension(13, []byte{0xff, byte(i), 1, 0xff}); err != nil {
			t.Fatal(err)
		}
		b.take(p)
	}
	b.now = b.now.Add(time.Second)
	b.receiver.measure(b.now)
	if got, want := b.places(), strings.Repeat("acbc", 6); got != want {
		t.Errorf("layers %s, want those of the bitstream, %s", got, want)
	}
}
