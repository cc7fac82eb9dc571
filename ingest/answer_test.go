package ingest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	pionsdp "github.com/pion/sdp/v3"

	"siaran"
	"siaran/internal/sdp"
)

const offersFolder = "../internal/sdp/testdata/offers"

func readOffer(t testing.TB, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(offersFolder, name+".sdp"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var testLocal = local{
	ufrag: "ourufragourufrag", password: "ourpasswordourpasswordourpassword",
	fingerprint: sdp.Fingerprint{Algorithm: "sha-256", Value: "AA:BB"},
	addresses: []netip.AddrPort{
		netip.MustParseAddrPort("203.0.113.7:8189"), netip.MustParseAddrPort("10.0.0.7:8189"),
		netip.MustParseAddrPort("[2001:db8::7]:8189"),
	},
}

// answerTo chooses and answers, without a transport.
func answerTo(text string) (*sdp.Offer, []byte, error) {
	offer, err := sdp.ParseOffer([]byte(text))
	if err != nil {
		return nil, nil, err
	}
	chosen, err := choose(offer)
	if err != nil {
		return offer, nil, err
	}
	l := testLocal
	l.setup = answerRole(offer.Setup)
	answer, err := writeAnswer(offer, chosen, l)
	return offer, answer, err
}

// section is what a golden answer has of one section.
type section struct {
	formats  string
	rtpmap   string // of the first format
	extmaps  []string
	feedback []string
	rids     []string
}

// TestAnswers holds the answers to offers of real clients to the checklist of RFC 9725.
func TestAnswers(t *testing.T) {
	chromiumExtensions := []string{"4 " + sdp.URINumber, "9 " + uriMid}
	tests := map[string][]section{
		"whip-obs-shaped": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 H264/90000", extmaps: []string{"1 " + uriMid},
				feedback: []string{"96 nack", "96 nack pli", "96 ccm fir"}},
		},
		"whip-obs-shaped-simulcast": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 H264/90000", extmaps: []string{"1 " + uriMid, "2 " + uriRID},
				feedback: []string{"96 nack", "96 nack pli", "96 ccm fir"}, rids: []string{"0", "1", "2"}},
		},
		"whip-chromium-h264": {
			{formats: "108 109", rtpmap: "108 H264/90000", extmaps: chromiumExtensions,
				feedback: []string{"108 transport-cc", "108 ccm fir", "108 nack", "108 nack pli"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: chromiumExtensions,
				feedback: []string{"111 transport-cc"}},
		},
		"whip-chromium": {
			{formats: "108 109", rtpmap: "108 H264/90000", extmaps: chromiumExtensions,
				feedback: []string{"108 transport-cc", "108 ccm fir", "108 nack", "108 nack pli"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: chromiumExtensions,
				feedback: []string{"111 transport-cc"}},
		},
		"whip-chromium-simulcast": {
			{formats: "108 109", rtpmap: "108 H264/90000", extmaps: []string{"4 " + sdp.URINumber, "9 " + uriMid,
				"10 " + uriRID, "11 " + uriRepairedRID, "13 " + sdp.URIDescriptor}, feedback: []string{
				"108 transport-cc", "108 ccm fir", "108 nack",
				"108 nack pli"}, rids: []string{"l", "m", "h"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: chromiumExtensions,
				feedback: []string{"111 transport-cc"}},
		},
		"whip-firefox": {
			{formats: "120 124", rtpmap: "120 VP8/90000", extmaps: []string{"3 " + uriMid, "7 " + sdp.URINumber},
				feedback: []string{"120 nack", "120 nack pli", "120 ccm fir", "120 transport-cc"}},
			{formats: "109", rtpmap: "109 opus/48000/2", extmaps: []string{"3 " + uriMid, "7 " + sdp.URINumber},
				feedback: []string{"109 transport-cc"}},
		},
		"whip-gstreamer-h264": {
			{formats: "96 97", rtpmap: "96 H264/90000", feedback: []string{"96 nack", "96 nack pli", "96 ccm fir",
				"96 transport-cc"}},
			{formats: "111 98", rtpmap: "111 opus/48000/2", feedback: []string{"111 nack", "111 transport-cc"}},
		},
		"whip-gstreamer-vp8": {
			{formats: "96 97", rtpmap: "96 VP8/90000", feedback: []string{"96 nack", "96 nack pli", "96 ccm fir",
				"96 transport-cc"}},
			{formats: "111 98", rtpmap: "111 opus/48000/2", feedback: []string{"111 nack", "111 transport-cc"}},
		},
		"whip-aiortc-vp8": {
			{formats: "97 98", rtpmap: "97 VP8/90000", extmaps: []string{"1 " + uriMid},
				feedback: []string{"97 nack", "97 nack pli"}},
			{formats: "96", rtpmap: "96 opus/48000/2", extmaps: []string{"1 " + uriMid}},
		},
		"whip-pion": {
			{formats: "96 97", rtpmap: "96 VP8/90000", extmaps: []string{"1 " + uriMid, "4 " + sdp.URINumber},
				feedback: []string{"96 ccm fir", "96 nack", "96 nack pli", "96 transport-cc"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: []string{"4 " + sdp.URINumber},
				feedback: []string{"111 transport-cc"}},
		},
		"whip-chrome-h265": {
			{formats: "49 50", rtpmap: "49 H265/90000", extmaps: chromiumExtensions,
				feedback: []string{"49 transport-cc", "49 ccm fir", "49 nack", "49 nack pli"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: chromiumExtensions,
				feedback: []string{"111 transport-cc"}},
		},
		"whip-safari-h265": {
			{formats: "96 97", rtpmap: "96 H265/90000", extmaps: chromiumExtensions,
				feedback: []string{"96 transport-cc", "96 ccm fir", "96 nack", "96 nack pli"}},
			{formats: "111", rtpmap: "111 opus/48000/2", extmaps: chromiumExtensions,
				feedback: []string{"111 transport-cc"}},
		},
		"whip-chromium-multiopus": {
			{formats: "108 109", rtpmap: "108 H264/90000", extmaps: chromiumExtensions,
				feedback: []string{"108 transport-cc", "108 ccm fir", "108 nack", "108 nack pli"}},
			{formats: "70", rtpmap: "70 multiopus/48000/6", extmaps: chromiumExtensions,
				feedback: []string{"70 transport-cc"}},
		},
		"whip-ffmpeg-h264": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "106 105", rtpmap: "106 H264/90000", feedback: []string{"106 nack"}},
		},
		"whip-ffmpeg-h264-active": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "106 105", rtpmap: "106 H264/90000", feedback: []string{"106 nack"}},
		},
		"whip-obs-30-h264": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 H264/90000", feedback: []string{"96 nack", "96 nack pli"}},
		},
		"whip-obs-32-h264": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 H264/90000", extmaps: []string{"1 " + uriMid},
				feedback: []string{"96 nack", "96 nack pli"}},
		},
		"whip-obs-32-h264-simulcast": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 H264/90000", extmaps: []string{"1 " + uriMid, "2 " + uriRID},
				feedback: []string{"96 nack", "96 nack pli"}, rids: []string{"0", "1", "2"}},
		},
		"whip-obs-32-av1": {
			{formats: "111", rtpmap: "111 opus/48000/2"},
			{formats: "96", rtpmap: "96 AV1/90000", extmaps: []string{"1 " + uriMid},
				feedback: []string{"96 nack", "96 nack pli"}},
		},
		"whip-simple-whip-client-h264": {
			{formats: "96", rtpmap: "96 H264/90000",
				feedback: []string{"96 nack pli", "96 ccm fir", "96 transport-cc"}},
			{formats: "100", rtpmap: "100 opus/48000/2", feedback: []string{"100 transport-cc"}},
		},
		"whip-simple-whip-client-vp8": {
			{formats: "96", rtpmap: "96 VP8/90000",
				feedback: []string{"96 nack pli", "96 ccm fir", "96 transport-cc"}},
			{formats: "100", rtpmap: "100 opus/48000/2", feedback: []string{"100 transport-cc"}},
		},
		"whip-werift": {
			{formats: "97", rtpmap: "97 VP8/90000", feedback: []string{"97 nack", "97 nack pli"}},
			{formats: "96", rtpmap: "96 opus/48000/2"},
		},
	}
	files, _ := filepath.Glob(filepath.Join(offersFolder, "whip-*.sdp"))
	if len(files) != len(tests) {
		t.Errorf("%d offers, %d expectations", len(files), len(tests))
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			offer, text, err := answerTo(readOffer(t, name))
			if err != nil {
				t.Fatal(err)
			}
			answer := checkAnswer(t, offer, text)
			for i, m := range answer.MediaDescriptions {
				w := want[i]
				if got := strings.Join(m.MediaName.Formats, " "); got != w.formats {
					t.Errorf("section %d: formats %q, want %q", i, got, w.formats)
				}
				if got := values(m, "rtpmap"); got[0] != w.rtpmap {
					t.Errorf("section %d: rtpmap %q, want %q", i, got[0], w.rtpmap)
				}
				if got := values(m, "extmap"); !slices.Equal(got, w.extmaps) {
					t.Errorf("section %d: extmap %q, want %q", i, got, w.extmaps)
				}
				if got := values(m, "rtcp-fb"); !slices.Equal(got, w.feedback) {
					t.Errorf("section %d: rtcp-fb %q, want %q", i, got, w.feedback)
				}
				var rids []string
				for _, r := range w.rids {
					rids = append(rids, r+" recv")
				}
				if got := values(m, "rid"); !slices.Equal(got, rids) {
					t.Errorf("section %d: rid %q, want %q", i, got, rids)
				}
				if got := values(m, "simulcast"); len(w.rids) > 0 &&
					(len(got) != 1 || got[0] != "recv "+strings.Join(w.rids, ";")) {
					t.Errorf("section %d: simulcast %q", i, got)
				}
			}
		})
	}
}

// checkAnswer holds an answer to what is asked of every answer.
func checkAnswer(t testing.TB, offer *sdp.Offer, text []byte) *pionsdp.SessionDescription {
	t.Helper()
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\r\n"), "\r\n") {
		if strings.ContainsAny(line, "\r\n") || strings.HasSuffix(line, " ") {
			t.Errorf("bad line %q", line)
		}
	}
	if !strings.HasSuffix(string(text), "\r\n") || len(text) > 8<<10 {
		t.Errorf("%d bytes, ending in %q", len(text), text[len(text)-2:])
	}
	var answer pionsdp.SessionDescription
	if err := answer.Unmarshal(text); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(answer.MediaDescriptions) != len(offer.Sections) {
		t.Fatalf("%d sections, %d were offered", len(answer.MediaDescriptions), len(offer.Sections))
	}
	var accepted []string
	tagged := ""
	for i, m := range answer.MediaDescriptions {
		s := &offer.Sections[i]
		offered := offer.Description.MediaDescriptions[i]
		if m.MediaName.Media != offered.MediaName.Media || !slices.Equal(m.MediaName.Protos, offered.MediaName.Protos) ||
			len(m.MediaName.Formats) == 0 {
			t.Errorf("section %d: m-line is %+v", i, m.MediaName)
		}
		if m.ConnectionInformation == nil || m.ConnectionInformation.Address == nil {
			t.Errorf("section %d has no c= line", i)
		}
		if got, want := values(m, "mid"), values(offered, "mid"); len(got) != min(len(want), 1) || len(got) > 0 &&
			got[0] != want[0] {
			t.Errorf("section %d: mid %q, want %q", i, got, want)
		}
		if m.MediaName.Port.Value == 0 {
			if s.Kind != siaran.KindOther && !s.Rejected {
				t.Errorf("section %d is refused", i)
			}
			continue
		}
		accepted = append(accepted, s.Mid)
		for _, key := range []string{"recvonly", "rtcp-mux", "rtcp-mux-only"} {
			if len(values(m, key)) != 1 {
				t.Errorf("section %d has no a=%s", i, key)
			}
		}
		for _, key := range []string{"sendonly", "sendrecv", "inactive", "msid", "ssrc"} {
			if len(values(m, key)) != 0 {
				t.Errorf("section %d has a=%s", i, key)
			}
		}
		setup := map[string]string{"actpass": "active", "active": "passive", "passive": "active"}[offer.Setup]
		if got := values(m, "setup"); !slices.Equal(got, []string{setup}) {
			t.Errorf("section %d: setup %q to %q", i, got, offer.Setup)
		}
		for key, want := range map[string]string{"ice-ufrag": testLocal.ufrag, "ice-pwd": testLocal.password,
			"fingerprint": testLocal.fingerprint.String()} {
			if got := values(m, key); !slices.Equal(got, []string{want}) {
				t.Errorf("section %d: %s %q", i, key, got)
			}
		}
		checkFormats(t, s, m, offered)
		if candidates := values(m, "candidate"); len(candidates) > 0 {
			tagged += s.Mid
			for k, c := range candidates {
				a := testLocal.addresses[k]
				if !strings.Contains(c, " 1 udp ") || !strings.HasSuffix(c, fmt.Sprintf(" %s %d typ host", a.Addr(), a.Port())) {
					t.Errorf("candidate %d is %q", k, c)
				}
			}
			if len(candidates) != len(testLocal.addresses) || len(values(m, "end-of-candidates")) != 1 {
				t.Errorf("section %d: candidates %q", i, candidates)
			}
		}
	}
	if len(offer.Bundle) > 0 && tagged != offer.Bundle[0] {
		t.Errorf("candidates are in section %q", tagged)
	}
	if group, there := answer.Attribute("group"); there {
		for _, mid := range strings.Fields(group)[1:] {
			if !slices.Contains(accepted, mid) {
				t.Errorf("%q is in %q", mid, group)
			}
		}
		if len(strings.Fields(group))-1 != len(accepted) {
			t.Errorf("group is %q, accepted %q", group, accepted)
		}
	}
	return &answer
}

// checkFormats sees that payload types and their parameters are the offer's.
func checkFormats(t testing.TB, s *sdp.Section, m, offered *pionsdp.MediaDescription) {
	t.Helper()
	i := s.Index
	for _, f := range m.MediaName.Formats {
		if !slices.Contains(offered.MediaName.Formats, f) {
			t.Errorf("section %d: format %s was not offered", i, f)
		}
	}
	for _, f := range values(m, "fmtp") {
		if !slices.ContainsFunc(values(offered, "fmtp"), func(o string) bool {
			return strings.Join(strings.Fields(o), " ") == strings.Join(strings.Fields(f), " ")
		}) {
			t.Errorf("section %d: fmtp %q was not offered", i, f)
		}
	}
	for _, format := range values(m, "rtpmap") { // redundancy and comfort noise are left out
		if name := strings.ToLower(format); strings.Contains(name, " red/") || strings.Contains(name, "fec") ||
			strings.Contains(name, " cn/") || strings.Contains(name, " telephone-event/") {
			t.Errorf("section %d: %q is accepted", i, format)
		}
	}
	first := values(m, "rtpmap")[0]
	if !slices.ContainsFunc(s.Codecs, func(c sdp.OfferedCodec) bool {
		return strings.HasPrefix(strings.ToUpper(first), fmt.Sprintf("%d %s/%d", c.PayloadType, c.Name, c.ClockRate))
	}) {
		t.Errorf("section %d: rtpmap %q was not offered", i, first)
	}
}

func values(m *pionsdp.MediaDescription, key string) []string {
	var list []string
	for _, a := range m.Attributes {
		if a.Key == key {
			list = append(list, a.Value)
		}
	}
	return list
}

// replace changes an offer and fails the test when there is nothing to change.
func replace(t testing.TB, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("there is no %q in the offer", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

const dataSection = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:data\r\n" +
	"a=sctp-port:5000\r\n"

func TestAnswersOfChangedOffers(t *testing.T) {
	obs := readOffer(t, "whip-obs-shaped")
	simulcast := readOffer(t, "whip-obs-shaped-simulcast")
	audio, _, _ := strings.Cut(obs, "m=video")
	tests := map[string]struct {
		offer string
		want  []string // lines of the answer
	}{
		"setup passive": {replace(t, obs, "setup:actpass", "setup:passive"), []string{"a=setup:active"}},
		"setup active":  {replace(t, obs, "setup:actpass", "setup:active"), []string{"a=setup:passive"}},
		"sendrecv":      {replace(t, obs, "a=sendonly", "a=sendrecv"), []string{"a=recvonly"}},
		"refused in advance": {obs + strings.Replace(strings.Replace(obs[strings.Index(obs, "m=video"):], "m=video 9",
			"m=video 0", 1), "mid:1", "mid:2", 1), []string{"a=group:BUNDLE 0 1", "m=video 0 UDP/TLS/RTP/SAVPF 96",
			"a=mid:2\r\na=rtpmap:96 H264/90000\r\na=inactive"}},
		"data channel": {replace(t, obs, "BUNDLE 0 1", "BUNDLE 0 1 data") + dataSection,
			[]string{"a=group:BUNDLE 0 1", "m=application 0 UDP/DTLS/SCTP webrtc-datachannel", "a=mid:data"}},
		"paused layer": {replace(t, simulcast, "send 0;1;2", "send 0;~1;2"),
			[]string{"a=simulcast:recv 0;~1;2", "a=rid:1 recv"}},
		"FFmpeg audio": {audio, []string{"a=group:BUNDLE 0", "m=audio 9 UDP/TLS/RTP/SAVPF 111"}},
		"no BUNDLE": {replace(t, audio, "a=group:BUNDLE 0 1\r\n", ""),
			[]string{"m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=end-of-candidates"}},
		"Safari's H264": {replace(t, obs, "42e01f", "640c1f"),
			[]string{"a=fmtp:96 profile-level-id=640c1f;packetization-mode=1;level-asymmetry-allowed=1"}},
		"H264 without fmtp": {replace(t, obs, "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;"+
			"level-asymmetry-allowed=1\r\n", ""), []string{"m=video 9 UDP/TLS/RTP/SAVPF 96"}},
		"H265":               {replace(t, obs, "H264/90000", "H265/90000"), []string{"a=rtpmap:96 H265/90000"}},
		"rtpmap in capitals": {replace(t, obs, "opus/48000/2", "OPUS/48000"), []string{"a=rtpmap:111 opus/48000/2"}},
		"extension one way": {replace(t, obs, "a=extmap:1 ", "a=extmap:1/sendonly "),
			[]string{"a=extmap:1/recvonly " + uriMid}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			offer, text, err := answerTo(test.offer)
			if err != nil {
				t.Fatal(err)
			}
			if name != "rtpmap in capitals" {
				checkAnswer(t, offer, text)
			}
			for _, line := range test.want {
				if !strings.Contains(string(text), line+"\r\n") {
					t.Errorf("no line %q in\n%s", line, text)
				}
			}
		})
	}
}

// TestRefusedOffers holds that an offer which cannot be taken whole is refused with a reason, and that nothing breaks.
func TestRefusedOffers(t *testing.T) {
	s := start(t, nil)
	obs := readOffer(t, "whip-obs-shaped")
	simulcast := readOffer(t, "whip-obs-shaped-simulcast")
	tests := map[string]struct {
		offer  string
		err    error
		reason string
	}{
		"recvonly":            {replace(t, obs, "a=sendonly", "a=recvonly"), siaran.ErrUnacceptable, "section 0 (audio"},
		"inactive":            {replace(t, obs, "a=sendonly", "a=inactive"), siaran.ErrUnacceptable, "inactive"},
		"viewer's offer":      {readOffer(t, "whep-chromium"), siaran.ErrUnacceptable, ""},
		"unknown video codec": {replace(t, obs, "H264/90000", "THEORA/90000"), siaran.ErrUnacceptable, "section 1 (video"},
		"unknown audio codec": {replace(t, obs, "opus/48000/2", "speex/16000"), siaran.ErrUnacceptable, "section 0 (audio"},
		"no rtcp-mux":         {replace(t, obs, "a=rtcp-mux\r\n", ""), siaran.ErrUnacceptable, ""},
		"two without BUNDLE":  {replace(t, obs, "a=group:BUNDLE 0 1\r\n", ""), siaran.ErrUnacceptable, ""},
		"simulcast without rid": {replace(t, simulcast, "a=extmap:2 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id\r\n", ""),
			siaran.ErrUnacceptable, "rtp-stream-id"},
		"empty rid":      {replace(t, simulcast, "send 0;1;2", "send 0;;2"), siaran.ErrMalformedOffer, ""},
		"rid at the end": {replace(t, simulcast, "send 0;1;2", "send 0;1;"), siaran.ErrMalformedOffer, ""},
		"no rids":        {replace(t, simulcast, "send 0;1;2", "send "), siaran.ErrMalformedOffer, ""},
		"nine layers": {replace(t, simulcast, "a=rid:0 send",
			"a=rid:0 send\r\na=rid:3 send\r\na=rid:4 send\r\na=rid:5 send\r\na=rid:6 send\r\na=rid:7 send\r\na=rid:8 send",
			"send 0;1;2", "send 0;1;2;3;4;5;6;7;8"), siaran.ErrUnacceptable, ""},
		"data channel alone": {strings.Split(obs, "m=audio")[0] + dataSection, siaran.ErrUnacceptable, ""},
		"weak fingerprint": {replace(t, obs, "a=fingerprint:sha-256 22:51:4F:36:FA:B2:F1:67:4B:90:13:C6:99:E4:B7:2A:"+
			"4D:9D:9F:48:CB:18:DC:C6:9C:9E:E3:86:72:E6:57:88", "a=fingerprint:sha-1 22:51:4F:36:FA:B2:F1:67:4B:90:13:C6:99:"+
			"E4:B7:2A:4D:9D:9F:48"), siaran.ErrUnacceptable, "SHA-256"},
		"holdconn": {replace(t, obs, "setup:actpass", "setup:holdconn"), siaran.ErrUnacceptable, ""},
		"empty":    {"", siaran.ErrMalformedOffer, ""},
		"not SDP":  {"{}", siaran.ErrMalformedOffer, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := s.Offer(context.Background(), "cats", "owner", netip.Addr{}, []byte(test.offer))
			if !errors.Is(err, test.err) || !strings.Contains(fmt.Sprint(err), test.reason) {
				t.Errorf("got %v", err)
			}
		})
	}
	if n := s.count(); n != 0 {
		t.Errorf("%d sessions are open", n)
	}
}

// count is how many sessions there are.
func (s *Server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.sessions)
}

// FuzzAnswer holds that every offer which is taken gets an answer that keeps to the rules, and that the
// transport's own description of it can be read back.
func FuzzAnswer(f *testing.F) {
	for _, name := range []string{"whip-obs-shaped", "whip-obs-shaped-simulcast", "whip-chromium-simulcast",
		"whip-firefox", "whip-gstreamer-h264", "whip-aiortc-vp8"} {
		f.Add(readOffer(f, name))
	}
	obs := readOffer(f, "whip-obs-shaped")
	f.Add(replace(f, obs, "BUNDLE 0 1", "BUNDLE 0 1 data") + dataSection)
	simulcast := readOffer(f, "whip-obs-shaped-simulcast")
	for _, bad := range []string{"send 0;;2", "send 0;1;", "send ", "send 0;~1;2"} {
		f.Add(replace(f, simulcast, "send 0;1;2", bad))
	}
	f.Fuzz(func(t *testing.T, text string) {
		offer, answer, err := answerTo(text)
		if err != nil {
			return
		}
		if len(text) < 4<<10 { // an answer repeats format parameters, however long
			checkAnswer(t, offer, answer)
		}
		if fixed, err := fixedOffer(offer, reachPublic); err == nil && len(fixed) == 0 {
			t.Error("the transport's description is empty")
		}
	})
}

func TestBroadcastersBoundsAreNotOurs(t *testing.T) {
	for _, test := range []struct {
		name          siaran.CodecName
		offered, ours string
	}{
		{siaran.VP8, "max-fs=12288;max-fr=60", ""},
		{siaran.VP9, "profile-id=0; max-fs=12288", "profile-id=0"},
		{siaran.VP9, "max-fr=60; profile-id=0", "profile-id=0"},
		{siaran.VP8, "", ""},
		{siaran.H264, "packetization-mode=1;profile-level-id=42e01f", "packetization-mode=1;profile-level-id=42e01f"},
	} {
		c := sdp.OfferedCodec{Codec: siaran.Codec{Name: test.name, FMTP: test.offered}}
		if got := answeredFormat(c); got != test.ours {
			t.Errorf("%s %q: %q, want %q", test.name, test.offered, got, test.ours)
		}
	}
}
