package sdp

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"siaran"
)

func readOffer(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "offers", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// describe is a section in one line, so that a table of them can be read.
func describe(s Section) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s", s.Mid, s.Kind, s.Direction)
	for _, c := range s.Codecs {
		fmt.Fprintf(&b, " %d:%s", c.PayloadType, c.Name)
		if c.RTX != 0 {
			fmt.Fprintf(&b, "+%d", c.RTX)
		}
	}
	for _, r := range s.RIDs {
		fmt.Fprintf(&b, " rid=%s", r.ID)
	}
	fmt.Fprintf(&b, " ext=%d ssrc=%d stream=%v", len(s.Extensions), len(s.SSRCs), s.Stream != "")
	return b.String()
}

func TestParseOfferOfRealClients(t *testing.T) {
	const (
		chromiumAudio = " 111:OPUS 9:G722 0:PCMU 8:PCMA ext=4"
		chromiumVideo = " 96:VP8+97 98:VP9+99 100:VP9+101 35:VP9+36 37:VP9+38 102:H264+103 104:H264+107 108:H264+109 " +
			"114:H264+115 116:H264+117 39:H264+40 41:H264+42 43:H264+44 45:AV1+46 47:AV1+48"
		firefoxVideo = " 120:VP8+124 121:VP9+125 99:AV1+100 ext=5"
		firefoxAudio = " 109:OPUS 9:G722 0:PCMU 8:PCMA ext=4"
	)
	tests := map[string]struct {
		ufrag      string
		candidates int
		trickle    bool
		sections   []string
	}{
		"whep-aiortc.sdp": {"ILUj", 1, false, []string{
			"0 video recvonly 97:VP8+98 99:H264+100 101:H264+102 ext=2 ssrc=2 stream=true",
			"1 audio recvonly 96:OPUS 0:PCMU 8:PCMA ext=2 ssrc=1 stream=true"}},
		"whep-chromium.sdp": {"uYia", 8, true, []string{
			"0 video recvonly" + chromiumVideo + " ext=11 ssrc=0 stream=false",
			"1 audio recvonly" + chromiumAudio + " ssrc=0 stream=false"}},
		"whep-chrome-h265.sdp": {"uYia", 8, true, []string{
			"0 video recvonly" + chromiumVideo + " 49:H265+50 51:H265+52 ext=11 ssrc=0 stream=false",
			"1 audio recvonly" + chromiumAudio + " ssrc=0 stream=false"}},
		"whep-safari-h265.sdp": {"uYia", 8, true, []string{
			"0 video recvonly" + chromiumVideo + " 122:H265+121 ext=11 ssrc=0 stream=false",
			"1 audio recvonly" + chromiumAudio + " ssrc=0 stream=false"}},
		"whep-chromium-multiopus.sdp": {"uYia", 8, true, []string{
			"0 video recvonly" + chromiumVideo + " ext=11 ssrc=0 stream=false",
			"1 audio recvonly 111:OPUS 9:G722 0:PCMU 8:PCMA 70:MULTIOPUS ext=4 ssrc=0 stream=false"}},
		"whep-firefox.sdp": {"d98dae31", 4, true, []string{
			"0 video recvonly" + firefoxVideo + " ssrc=1 stream=false",
			"1 audio recvonly" + firefoxAudio + " ssrc=1 stream=false"}},
		"whep-gstreamer.sdp": {"Lxx7Kews5ldO6zGencr+uxXmbI3/xRY+", 3, true, []string{
			"video0 video recvonly 96:H264+97 98:VP8 ext=0 ssrc=0 stream=false",
			"audio1 audio recvonly 111:OPUS+99 ext=0 ssrc=0 stream=false"}},
		"whep-pion.sdp": {"mNbDICukATYDVxwW", 2, false, []string{
			"0 video recvonly 96:VP8+97 102:H264+103 104:H264+105 106:H264+107 108:H264+109 127:H264+125 39:H264+40 116:" +
				"H265+117 45:AV1+46 98:VP9+99 100:VP9+101 112:H264+113 ext=4 ssrc=0 stream=false",
			"1 audio recvonly 111:OPUS 9:G722 0:PCMU 8:PCMA ext=1 ssrc=0 stream=false"}},
		"whep-werift.sdp": {"f041", 2, true, []string{
			"0 video recvonly 98:VP8 ext=0 ssrc=1 stream=false",
			"1 audio recvonly 96:OPUS 0:PCMU ext=0 ssrc=1 stream=false"}},
		"whip-pion.sdp": {"QcNDKfiBpIDkuoyZ", 2, false, []string{
			"0 video sendonly 96:VP8+97 ext=4 ssrc=2 stream=true",
			"1 audio sendonly 111:OPUS ext=1 ssrc=1 stream=true"}},
		"whip-werift.sdp": {"9ea5", 2, true, []string{
			"0 video sendonly 97:VP8 ext=0 ssrc=1 stream=false",
			"1 audio sendonly 96:OPUS ext=0 ssrc=1 stream=false"}},
		"whip-aiortc-vp8.sdp": {"DZXn", 1, false, []string{
			"0 video sendonly 97:VP8+98 ext=2 ssrc=2 stream=true",
			"1 audio sendonly 96:OPUS 0:PCMU 8:PCMA ext=2 ssrc=1 stream=true"}},
		"whip-chromium.sdp": {"lUqy", 8, true, []string{
			"0 video sendonly 96:VP8+97 102:H264+103 104:H264+107 108:H264+109 114:H264+115 116:H264+117 39:H264+40 45:" +
				"AV1+46 98:VP9+99 100:VP9+101 ext=11 ssrc=2 stream=true",
			"1 audio sendonly" + chromiumAudio + " ssrc=1 stream=true"}},
		"whip-chromium-h264.sdp": {"We92", 8, true, []string{
			"0 video sendonly 102:H264+103 108:H264+109 116:H264+117 104:H264+107 114:H264+115 39:H264+40 ext=11 ssrc=2 " +
				"stream=true",
			"1 audio sendonly" + chromiumAudio + " ssrc=1 stream=true"}},
		"whip-chromium-simulcast.sdp": {"gE6f", 8, true, []string{
			"0 video sendonly 96:VP8+97 102:H264+103 104:H264+107 108:H264+109 114:H264+115 116:H264+117 39:H264+40 45:" +
				"AV1+46 98:VP9+99 100:VP9+101 rid=l rid=m rid=h ext=13 ssrc=0 stream=true",
			"1 audio sendonly" + chromiumAudio + " ssrc=1 stream=true"}},
		"whip-firefox.sdp": {"e85894f1", 4, true, []string{
			"0 video sendonly" + firefoxVideo + " ssrc=2 stream=true",
			"1 audio sendonly" + firefoxAudio + " ssrc=1 stream=true"}},
		"whip-gstreamer-h264.sdp": {"DBbb0Dn1BcWWFVJWiUI62ksQK9t5wU4O", 3, true, []string{
			"video0 video sendonly 96:H264+97 ext=0 ssrc=2 stream=true",
			"audio1 audio sendonly 111:OPUS+98 ext=0 ssrc=2 stream=true"}},
		"whip-gstreamer-vp8.sdp": {"XnxZgS9uW2rPmF/Ks5FsOuWFVMogyyiJ", 3, true, []string{
			"video0 video sendonly 96:VP8+97 ext=0 ssrc=2 stream=true",
			"audio1 audio sendonly 111:OPUS+98 ext=0 ssrc=2 stream=true"}},
		"whip-chrome-h265.sdp": {"lUqy", 8, true, []string{
			"0 video sendonly 49:H265+50 51:H265+52 ext=11 ssrc=2 stream=true",
			"1 audio sendonly" + chromiumAudio + " ssrc=1 stream=true"}},
		"whip-safari-h265.sdp": {"lUqy", 8, true, []string{
			"0 video sendonly 96:H265+97 ext=11 ssrc=2 stream=true",
			"1 audio sendonly" + chromiumAudio + " ssrc=1 stream=true"}},
		"whip-chromium-multiopus.sdp": {"lUqy", 8, true, []string{
			"0 video sendonly 96:VP8+97 102:H264+103 104:H264+107 108:H264+109 114:H264+115 116:H264+117 39:H264+40 45:" +
				"AV1+46 98:VP9+99 100:VP9+101 ext=11 ssrc=2 stream=true",
			"1 audio sendonly 70:MULTIOPUS ext=4 ssrc=1 stream=true"}},
		"whip-ffmpeg-h264.sdp": {"ufrg", 0, false, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 106:H264+105 ext=0 ssrc=1 stream=true"}},
		"whip-ffmpeg-h264-active.sdp": {"ufrg", 0, false, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 106:H264+105 ext=0 ssrc=1 stream=true"}},
		"whip-obs-30-h264.sdp": {"ufrg", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:H264 ext=0 ssrc=1 stream=true"}},
		"whip-obs-32-h264.sdp": {"ufrg", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:H264 ext=2 ssrc=1 stream=true"}},
		"whip-obs-32-h264-simulcast.sdp": {"ufrg", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:H264 rid=0 rid=1 rid=2 ext=2 ssrc=0 stream=true"}},
		"whip-obs-32-av1.sdp": {"ufrg", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:AV1 ext=2 ssrc=1 stream=true"}},
		"whip-simple-whip-client-h264.sdp": {"ufrg", 9, true, []string{
			"video0 video sendonly 96:H264 ext=0 ssrc=1 stream=true",
			"audio1 audio sendonly 100:OPUS ext=0 ssrc=1 stream=true"}},
		"whip-simple-whip-client-vp8.sdp": {"ufrg", 0, true, []string{
			"video0 video sendonly 96:VP8 ext=0 ssrc=1 stream=true",
			"audio1 audio sendonly 100:OPUS ext=0 ssrc=1 stream=true"}},
		"whip-obs-shaped.sdp": {"Z9lh", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:H264 ext=2 ssrc=1 stream=true"}},
		"whip-obs-shaped-simulcast.sdp": {"/hcG", 0, true, []string{
			"0 audio sendonly 111:OPUS ext=0 ssrc=1 stream=true",
			"1 video sendonly 96:H264 rid=0 rid=1 rid=2 ext=2 ssrc=0 stream=true"}},
	}
	files, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(files) != len(tests) {
		t.Errorf("%d files, %d expectations, %v", len(files), len(tests), err)
	}
	for file, want := range tests {
		t.Run(file, func(t *testing.T) {
			text := readOffer(t, file)
			for _, lines := range []string{text, strings.ReplaceAll(text, "\r\n", "\n")} {
				o, err := ParseOffer([]byte(lines))
				if err != nil {
					t.Fatal(err)
				}
				var sections, mids []string
				for i, s := range o.Sections {
					sections, mids = append(sections, describe(s)), append(mids, s.Mid)
					if s.Rejected || !s.RTCPMux || s.Index != i {
						t.Errorf("section %d: %+v", i, s)
					}
				}
				if !slices.Equal(sections, want.sections) {
					t.Errorf("sections\n%s\nwant\n%s", strings.Join(sections, "\n"), strings.Join(want.sections, "\n"))
				}
				setup := cmp.Or(map[string]string{
					"whip-ffmpeg-h264.sdp": "passive", "whip-ffmpeg-h264-active.sdp": "active",
				}[file], "actpass")
				if o.Ufrag != want.ufrag || len(o.Candidates) != want.candidates || o.Trickle != want.trickle ||
					o.Setup != setup {
					t.Errorf("ufrag %s, %d candidates, trickle %v, setup %s", o.Ufrag, len(o.Candidates), o.Trickle, o.Setup)
				}
				if !slices.Equal(o.Bundle, mids) {
					t.Errorf("bundle %v", o.Bundle)
				}
				if len(o.Fingerprints) != 1 || o.Fingerprints[0].Algorithm != "sha-256" || len(o.Fingerprints[0].Value) != 95 {
					t.Errorf("fingerprints %v", o.Fingerprints)
				}
			}
		})
	}
}

const testFingerprint = "sha-256 22:71:54:09:55:CC:D4:06:A7:B4:67:87:2E:AA:FF:5E:9A:EF:C4:09:17:F8:88:49:58:9A:B6:" +
	"DC:F5:09:13:7D"

// offerWith is an offer of one video section with these further lines.
func offerWith(session, media string) string {
	return "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + session +
		"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\n" + media
}

const (
	testTransport = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\na=fingerprint:" + testFingerprint +
		"\r\na=setup:actpass\r\n"
	testVideo = "a=mid:0\r\na=sendonly\r\na=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"
)

func TestParseOfferTakesWhatIsOdd(t *testing.T) {
	ffmpeg := "v=0\no=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1\ns=FFmpegPublishSession\nt=0 0\na=group:BUNDLE 0 " +
		"1\na=extmap-allow-mixed\na=msid-semantic: WMS\n" +
		"m=video 9 UDP/TLS/RTP/SAVPF 106\nc=IN IP4 0.0.0.0\na=ice-ufrag:5e1c3a2b\na=ice-pwd:" +
		"d1f2a3b4c5d6e7f8a9b0c1d2e3f4a5b6\na=fingerprint:" + testFingerprint + "\n" +
		"a=setup:passive\na=mid:1\na=sendonly\na=msid:FFmpeg video\na=rtcp-mux\na=rtpmap:106 H264/90000\na=fmtp:106 " +
		"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4200c1f\n" +
		"a=ssrc:3954895263 cname:FFmpeg\n"
	tests := []struct {
		name, text string
		check      func(o *Offer) bool
	}{
		{"FFmpeg, video alone", ffmpeg, func(o *Offer) bool {
			return slices.Equal(o.Bundle, []string{"1"}) && o.Setup == "passive" && o.Sections[0].Codecs[0].FMTP != "" &&
				!o.Trickle
		}},
		{"no group, no mid", offerWith("", testTransport+strings.Replace(testVideo, "a=mid:0\r\n", "", 1)),
			func(o *Offer) bool {
				return slices.Equal(o.Bundle, []string{"0"}) && o.Sections[0].Mid == "0"
			}},
		{"all at session level", offerWith(testTransport+"a=recvonly\r\na=ice-options:ice2 trickle\r\na=extmap:3 urn:x\r\n",
			"a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"), func(o *Offer) bool {
			return o.Sections[0].Direction == RecvOnly && o.Ufrag == "abcd" && o.Trickle && len(o.Fingerprints) == 1 &&
				o.Sections[0].Extensions[0] == Extension{ID: 3, URI: "urn:x"}
		}},
		{"no direction", offerWith(testTransport, "a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"),
			func(o *Offer) bool { return o.Sections[0].Direction == SendRecv }},
		{"with a data channel", offerWith("a=group:BUNDLE 0 2\r\n",
			testTransport+testVideo+"m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\n"+
				"a=sctp-port:5000\r\n"), func(o *Offer) bool {
			return len(o.Sections) == 2 && o.Sections[1].Kind == siaran.KindOther && len(o.Sections[1].Codecs) == 0
		}},
		{"two viewers' sections", offerWith("a=group:BUNDLE 0 1\r\n",
			testTransport+strings.Replace(testVideo, "sendonly", "recvonly", 1)+
				"m=video 9 UDP/TLS/RTP/SAVPF 97\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=recvonly\r\na=rtcp-mux\r\na=rtpmap:97 "+
				"H264/90000\r\n"), func(o *Offer) bool { return len(o.Sections) == 2 }},
		{"rejected section", offerWith("", testTransport+testVideo+"m=audio 0 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"+
			"a=mid:9\r\n"), func(o *Offer) bool {
			return o.Sections[1].Rejected && slices.Equal(o.Bundle, []string{"0"})
		}},
		{"bundle-only section without transport", offerWith("a=group:BUNDLE 0 1\r\n",
			testTransport+testVideo+"m=audio 0 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=bundle-only\r\n"+
				"a=rtpmap:111 OPUS/48000\r\n"), func(o *Offer) bool {
			s := o.Sections[1]
			return !s.Rejected && s.RTCPMux && len(s.Codecs) == 1 && s.Codecs[0].Name == siaran.Opus && s.Codecs[0].Channels == 2
		}},
		{"feedback for all", offerWith("", testTransport+testVideo+"a=rtcp-fb:* nack \r\na=rtcp-fb:*  nack  pli\r\n"+
			"a=rtcp-fb:96 nack\r\na=rtcp-fb:96 ccm fir\r\n"), func(o *Offer) bool {
			return slices.Equal(o.Sections[0].Codecs[0].Feedback, []string{"nack", "nack pli", "ccm fir"})
		}},
		{"simulcast", offerWith("", testTransport+testVideo+"a=rid:a send\r\na=rid:b send pt=96;max-width=1280\r\na=rid:"+
			"c send\r\na=rid:r recv\r\na=simulcast:send a,c;~b recv r\r\n"), func(o *Offer) bool {
			return slices.Equal(o.Sections[0].RIDs, []RID{{"a", false}, {"b", true}})
		}},
		{"unusual codecs", strings.Replace(offerWith("",
			testTransport+testVideo+"a=rtpmap:97 VP8/48000\r\na=rtpmap:98 x-flv/90000\r\na=rtpmap:99 vp9/90000\r\n"), "SAVPF 96",
			"SAVPF 97 98 99 96 100", 1), func(o *Offer) bool {
			codecs := o.Sections[0].Codecs
			return len(codecs) == 2 && codecs[0].Name == siaran.VP9 && codecs[1].Name == siaran.VP8
		}},
		{"payload types of RTCP", strings.Replace(offerWith("", testTransport+testVideo+"a=rtpmap:72 VP9/90000\r\n"+
			"a=rtpmap:73 rtx/90000\r\na=fmtp:73 apt=96\r\n"), "SAVPF 96", "SAVPF 72 96 73", 1), func(o *Offer) bool {
			codecs := o.Sections[0].Codecs
			return len(codecs) == 1 && codecs[0].Name == siaran.VP8 && codecs[0].RTX == 0
		}},
		{"several fingerprints", offerWith("a=fingerprint:sha-1 00\r\n",
			strings.Replace(testTransport, "a=fingerprint:sha-256", "a=fingerprint:md5 00\r\na=fingerprint:SHA-256",
				1)+testVideo), func(o *Offer) bool {
			return len(o.Fingerprints) == 1 && o.Fingerprints[0].Algorithm == "sha-256"
		}},
		{"bad candidates", offerWith("", testTransport+testVideo+"a=candidate:nonsense\r\na=candidate:1 2 udp 1 "+
			"192.0.2.1 9 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ host\r\na=candidate:1 1 udp 1 192.0.2.1 9 typ "+
			"host\r\na=candidate:2 1 UDP 1 f.local 9 typ host\r\n"), func(o *Offer) bool {
			return len(o.Candidates) == 2
		}},
		{"the group's first section has the transport", offerWith("a=group:BUNDLE 1 0\r\n",
			strings.ReplaceAll(testTransport, "abcd", "other")+testVideo+
				"m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\n"+testTransport+"a=mid:1\r\na=rtcp-mux\r\n"),
			func(o *Offer) bool {
				return o.Ufrag == "abcd" && slices.Equal(o.Bundle, []string{"1", "0"}) &&
					o.Sections[1].Codecs[0].Name == siaran.PCMU
			}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, err := ParseOffer([]byte(test.text))
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(o) {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestParseOfferRefuses(t *testing.T) {
	good := offerWith("", testTransport+testVideo)
	without := func(line string) string {
		if !strings.Contains(good, line) {
			t.Fatalf("no %q", line)
		}
		return strings.Replace(good, line, "", 1)
	}
	audio := "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\nc=IN IP4 0.0.0.0\r\na=mid:1\r\na=sendonly\r\na=rtcp-mux\r\n"
	numbered := func(n int, format string) (lines string) {
		for i := range n {
			lines += fmt.Sprintf(format, i)
		}
		return lines
	}
	layers := ""
	for i := range 9 {
		layers += fmt.Sprintf("a=rid:%d send\r\n", i)
	}
	tests := []struct {
		name, text string
		err        error
	}{
		{"empty", "", siaran.ErrMalformedOffer},
		{"not SDP", "hello", siaran.ErrMalformedOffer},
		{"JSON", `{"type":"offer","sdp":"v=0"}`, siaran.ErrMalformedOffer},
		{"bytes", "v=0\r\n\x00\x01", siaran.ErrMalformedOffer},
		{"not UTF-8", good + "a=\xff\r\n", siaran.ErrMalformedOffer},
		{"trimmed", strings.TrimSpace(good), siaran.ErrMalformedOffer},
		{"too large", good + "a=x:" + strings.Repeat("y", maxOfferBytes) + "\r\n", siaran.ErrMalformedOffer},
		{"no sections", "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n", siaran.ErrMalformedOffer},
		{"many sections", good + strings.Repeat("m=audio 0 RTP/AVP 0\r\n", 40), siaran.ErrMalformedOffer},
		{"many attributes", good + strings.Repeat("a=x\r\n", 1100), siaran.ErrMalformedOffer},
		{"many session attributes", offerWith(strings.Repeat("a=x\r\n", 1100), testTransport+testVideo),
			siaran.ErrMalformedOffer},
		{"many sources", good + func() (s string) {
			for i := range 70 {
				s += fmt.Sprintf("a=ssrc:%d cname:x\r\n", i)
			}
			return
		}(), siaran.ErrMalformedOffer},
		{"many extensions", good + numbered(maxExtensions+1, "a=extmap:1 urn:%d\r\n"), siaran.ErrMalformedOffer},
		{"many extensions of the session", offerWith(numbered(maxExtensions+1, "a=extmap:1 urn:%d\r\n"),
			testTransport+testVideo), siaran.ErrMalformedOffer},
		{"many codecs", strings.Replace(good, "SAVPF 96", "SAVPF"+numbered(maxCodecs, " %d")+" 99", 1) +
			numbered(maxCodecs, "a=rtpmap:%d VP8/90000\r\n") + "a=rtpmap:99 VP8/90000\r\n", siaran.ErrMalformedOffer},
		{"much feedback", good + numbered(maxFeedback+1, "a=rtcp-fb:96 x%d\r\n"), siaran.ErrMalformedOffer},
		{"much feedback for all", good + numbered(maxFeedback+1, "a=rtcp-fb:* x%d\r\n"), siaran.ErrMalformedOffer},
		{"many rids", good + numbered(maxRIDs+1, "a=rid:%d send\r\n"), siaran.ErrMalformedOffer},
		{"many mids", offerWith("a=group:BUNDLE 0"+numbered(maxBundled, " z%d")+"\r\n", testTransport+testVideo),
			siaran.ErrMalformedOffer},
		{"bad source", good + "a=ssrc:x cname:x\r\n", siaran.ErrMalformedOffer},
		{"bad extension", good + "a=extmap:x urn:x\r\n", siaran.ErrMalformedOffer},
		{"extension 0", good + "a=extmap:0 urn:x\r\n", siaran.ErrMalformedOffer},
		{"extension without a name", good + "a=extmap:1\r\n", siaran.ErrMalformedOffer},
		{"extension with an invalid direction", good + "a=extmap:1/both urn:x\r\n", siaran.ErrMalformedOffer},
		{"extension that is no URI", good + "a=extmap:1 %zz\r\n", siaran.ErrMalformedOffer},
		{"bad rtpmap", good + "a=rtpmap:97\r\n" + "a=rtpmap:200 VP8/90000\r\n", siaran.ErrMalformedOffer},
		{"rtpmap without rate", strings.Replace(good, "VP8/90000", "VP8", 1), siaran.ErrMalformedOffer},
		{"bad fmtp", good + "a=fmtp:x apt=1\r\n", siaran.ErrMalformedOffer},
		{"bad feedback", good + "a=rtcp-fb:x nack\r\n", siaran.ErrMalformedOffer},
		{"payload type out of range", strings.Replace(good, "SAVPF 96", "SAVPF 196", 1), siaran.ErrMalformedOffer},
		{"payload type twice", strings.Replace(good, "SAVPF 96", "SAVPF 96 96", 1), siaran.ErrMalformedOffer},
		{"bad mid", strings.Replace(good, "a=mid:0", "a=mid:0 1", 1), siaran.ErrMalformedOffer},
		{"empty mid", strings.Replace(good, "a=mid:0", "a=mid:", 1), siaran.ErrMalformedOffer},
		{"long mid", strings.Replace(good, "a=mid:0", "a=mid:"+strings.Repeat("0", 100), 1), siaran.ErrMalformedOffer},
		{"same mid", offerWith("a=group:BUNDLE 0\r\n", testTransport+testVideo+strings.Replace(audio, "a=mid:1", "a=mid:0",
			1)), siaran.ErrMalformedOffer},
		{"no ufrag", without("a=ice-ufrag:abcd\r\n"), siaran.ErrMalformedOffer},
		{"no password", without("a=ice-pwd:0123456789012345678901\r\n"), siaran.ErrMalformedOffer},
		{"short password", strings.Replace(good, "0123456789012345678901", "0123456789", 1), siaran.ErrMalformedOffer},
		{"colon in ufrag", strings.Replace(good, "abcd", "ab:cd", 1), siaran.ErrMalformedOffer},
		{"no fingerprint", without("a=fingerprint:" + testFingerprint + "\r\n"), siaran.ErrMalformedOffer},
		{"weak fingerprint", strings.Replace(good, testFingerprint, "md5 00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF", 1),
			siaran.ErrMalformedOffer},
		{"short fingerprint", strings.Replace(good, testFingerprint, testFingerprint[:40], 1), siaran.ErrMalformedOffer},
		{"fingerprint that is no hexadecimal", strings.Replace(good, "22:71", "2G:71", 1), siaran.ErrMalformedOffer},
		{"no setup", without("a=setup:actpass\r\n"), siaran.ErrMalformedOffer},
		{"setup", strings.Replace(good, "a=setup:actpass", "a=setup:holdconn", 1), siaran.ErrUnacceptable},
		{"no rtcp-mux", without("a=rtcp-mux\r\n"), siaran.ErrUnacceptable},
		{"data only", strings.Replace(good, "m=video 9 UDP/TLS/RTP/SAVPF 96",
			"m=application 9 UDP/DTLS/SCTP webrtc-datachannel", 1), siaran.ErrUnacceptable},
		{"rejected only", strings.Replace(good, "m=video 9", "m=video 0", 1), siaran.ErrUnacceptable},
		{"two sections, no group", good + audio, siaran.ErrUnacceptable},
		{"two sections, one in the group", offerWith("a=group:BUNDLE 0\r\n", testTransport+testVideo+audio),
			siaran.ErrUnacceptable},
		{"one section, not in the group", offerWith("a=group:BUNDLE 7\r\n", testTransport+testVideo), siaran.ErrUnacceptable},
		{"two groups", offerWith("a=group:BUNDLE 0\r\na=group:BUNDLE 1\r\n", testTransport+testVideo+testTransport+audio),
			siaran.ErrUnacceptable},
		{"two sections, one without a mid", offerWith("a=group:BUNDLE 0\r\n",
			testTransport+testVideo+strings.Replace(audio, "a=mid:1\r\n", "", 1)), siaran.ErrUnacceptable},
		{"two video tracks", offerWith("a=group:BUNDLE 0 1\r\n",
			testTransport+testVideo+strings.Replace(audio, "m=audio", "m=video", 1)), siaran.ErrUnacceptable},
		{"two streams", offerWith("a=group:BUNDLE 0 1\r\n", testTransport+testVideo+"a=msid:x y\r\n"+audio+"a=msid:z y\r\n"),
			siaran.ErrUnacceptable},
		{"simulcast of audio", offerWith("a=group:BUNDLE 0 1\r\n",
			testTransport+testVideo+audio+"a=rid:1 send\r\na=rid:2 send\r\na=simulcast:send 1;2\r\n"), siaran.ErrUnacceptable},
		{"payload types of RTCP alone", strings.ReplaceAll(strings.Replace(good, "SAVPF 96", "SAVPF 72", 1), ":96 ", ":72 "),
			siaran.ErrUnacceptable},
		{"nine layers", good + layers + "a=simulcast:send 0;1;2;3;4;5;6;7;8\r\n", siaran.ErrUnacceptable},
	}
	for _, value := range hostileSimulcast {
		text := good + "a=rid:0 send\r\na=rid:1 send\r\na=" + value + "\r\n"
		tests = append(tests, struct {
			name, text string
			err        error
		}{value, text, siaran.ErrMalformedOffer})
		tests = append(tests, struct {
			name, text string
			err        error
		}{value + " to a viewer", strings.Replace(text, "sendonly", "recvonly", 1), siaran.ErrMalformedOffer})
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o, err := ParseOffer([]byte(test.text))
			if !errors.Is(err, test.err) || o != nil {
				t.Fatalf("%v, %v; want %v", o, err, test.err)
			}
			if err.Error() == test.err.Error() || len(err.Error()) > 400 {
				t.Errorf("the text says nothing, or too much: %s", err)
			}
		})
	}
	if _, err := ParseOffer([]byte(good)); err != nil {
		t.Errorf("the offer that all others are made of: %v", err)
	}
}

// hostileSimulcast are lines that have crashed other parsers, and their like.
var hostileSimulcast = []string{
	"simulcast:send 0;;1", "simulcast:send 0;1;", "simulcast:send ", "simulcast:send", "simulcast", "simulcast:",
	"simulcast: send",
	"simulcast:send ;0", "simulcast:send ;", "simulcast:send ~", "simulcast:send 0;~", "simulcast:send 0,",
	"simulcast:send 0;,1", "simulcast:send ~~0",
	"simulcast:send 0 recv", "simulcast:send 0 recv ;", "simulcast:send 0 send 1", "simulcast:send 0 1",
	"simulcast:both 0", "simulcast:send 0;0",
	"simulcast:send 0;2", "simulcast:recv 0;1", "simulcast: send rid=0;1", "simulcast:send 0;1\r\na=simulcast:send 0",
	"rid", "rid:", "rid:2", "rid:2 both", "rid: send", "rid:0 send", "rid:ä send", "rid:a;b send",
}

func FuzzParseOffer(f *testing.F) {
	files, err := filepath.Glob("testdata/offers/*.sdp")
	if err != nil || len(files) == 0 {
		f.Fatal(err)
	}
	for _, file := range files {
		f.Add([]byte(readOffer(f, filepath.Base(file))))
	}
	for _, line := range hostileSimulcast {
		f.Add([]byte(offerWith("", testTransport+testVideo+"a=rid:0 send\r\na=rid:1 send\r\na="+line+"\r\n")))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := ParseOffer(text)
		if err != nil {
			if o != nil || !errors.Is(err, siaran.ErrMalformedOffer) && !errors.Is(err, siaran.ErrUnacceptable) {
				t.Fatalf("%v, %v", o, err)
			}
			return
		}
		if len(o.Bundle) == 0 || o.Ufrag == "" || o.Password == "" || len(o.Fingerprints) == 0 || o.Setup == "" ||
			len(o.Sections) != len(o.Description.MediaDescriptions) {
			t.Fatalf("half an offer: %+v", o)
		}
		for _, mid := range o.Bundle {
			if o.section(mid) == nil {
				t.Fatalf("no section %q", mid)
			}
		}
		for _, s := range o.Sections {
			for _, c := range s.Codecs {
				if c.Name.Kind() != s.Kind || c.ClockRate == 0 {
					t.Fatalf("%+v in a section of %s", c, s.Kind)
				}
			}
			for _, r := range s.RIDs {
				if !IsRID(r.ID) {
					t.Fatalf("rid %q", r.ID)
				}
			}
		}
	})
}
