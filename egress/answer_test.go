package egress

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	pionsdp "github.com/pion/sdp/v3"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/sdp"
	"siaran/mediaport"
)

// liveBroadcast is a broadcast with Opus and a video codec.
func liveBroadcast(t *testing.T, video siaran.Codec) *siaran.Broadcast {
	t.Helper()
	return broadcastOf(t, siaran.Codec{Name: siaran.Opus, ClockRate: 48000, Channels: 2, FMTP: "stereo=1;useinbandfec=1"},
		video)
}

func broadcastOf(t *testing.T, codecs ...siaran.Codec) *siaran.Broadcast {
	t.Helper()
	hub := siaran.NewHub(time.Second, codec.NewFramer)
	t.Cleanup(hub.Close)
	var tracks []siaran.TrackSpec
	for _, c := range codecs {
		tracks = append(tracks, siaran.TrackSpec{Codec: c})
	}
	pub, err := hub.Publish("s", "o", tracks)
	if err != nil {
		t.Fatal(err)
	}
	return pub.Broadcast()
}

func answeringLink(s *mediaport.Socket, offer *sdp.Offer) *link {
	l := testLink(s, offer.Ufrag, offer.Password)
	l.certificate = &ownCertificate{fingerprint: sdp.Fingerprint{Algorithm: "sha-256", Value: "AA:BB"}}
	return l
}

func TestAnswersToRealViewers(t *testing.T) {
	files, err := filepath.Glob("../internal/sdp/testdata/offers/whep-*.sdp")
	if err != nil || len(files) == 0 {
		t.Fatal("no offers", err)
	}
	socket, err := mediaport.Open(":0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := &Server{socket: socket}
	h264 := siaran.Codec{Name: siaran.H264, ClockRate: 90000,
		FMTP: "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1"}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			offer, err := sdp.ParseOffer(text)
			if err != nil {
				t.Fatal(err)
			}
			video := h264
			if answerable := choose(offer.Sections[videoSection(offer)].Codecs, h264); answerable == nil {
				video = siaran.Codec{Name: siaran.VP8, ClockRate: 90000}
			}
			answer, plans, err := s.answer(offer, liveBroadcast(t, video), answeringLink(socket, offer), false)
			if err != nil {
				t.Fatal(err)
			}
			checkAnswer(t, offer, string(answer), plans)
		})
	}
}

// TestRefusedSectionsNameTheirPayloadTypes: without, pion/webrtc v4 takes no answer of a stream that has no picture or
// no sound. The section with the transport of the bundle is never refused.
func TestRefusedSectionsNameTheirPayloadTypes(t *testing.T) {
	text, err := os.ReadFile("../internal/sdp/testdata/offers/whep-pion.sdp")
	if err != nil {
		t.Fatal(err)
	}
	offer, err := sdp.ParseOffer(text)
	if err != nil {
		t.Fatal(err)
	}
	socket, err := mediaport.Open(":0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s := &Server{socket: socket}
	for kind, codec := range map[siaran.Kind]siaran.Codec{
		siaran.KindAudio: {Name: siaran.Opus, ClockRate: 48000, Channels: 2},
		siaran.KindVideo: {Name: siaran.VP8, ClockRate: 90000},
	} {
		answer, plans, err := s.answer(offer, broadcastOf(t, codec), answeringLink(socket, offer), false)
		if err != nil || len(plans) != 1 || plans[0].Kind != kind {
			t.Fatalf("%s alone: %v, %v", kind, plans, err)
		}
		var d pionsdp.SessionDescription
		if err := d.Unmarshal(answer); err != nil {
			t.Fatal(err)
		}
		for i, m := range d.MediaDescriptions {
			lacking, first := offer.Sections[i].Kind != kind, offer.Sections[i].Mid == offer.Bundle[0]
			if refused := m.MediaName.Port.Value == 0; refused != (lacking && !first) {
				t.Errorf("%s alone: section %d: refused %v", kind, i, refused)
			}
			if _, inactive := m.Attribute("inactive"); inactive != lacking {
				t.Errorf("%s alone: section %d: inactive %v", kind, i, inactive)
			}
			named := ""
			for _, a := range m.Attributes {
				if a.Key == "rtpmap" {
					named += a.Value + "\n"
				}
			}
			for _, f := range m.MediaName.Formats {
				if !strings.Contains("\n"+named, "\n"+f+" ") {
					t.Errorf("%s alone: section %d says nothing of payload type %s", kind, i, f)
				}
			}
		}
	}
}

func videoSection(o *sdp.Offer) int {
	for i, s := range o.Sections {
		if s.Kind == siaran.KindVideo {
			return i
		}
	}
	return 0
}

func checkAnswer(t *testing.T, offer *sdp.Offer, text string, plans []plan) {
	t.Helper()
	if strings.Contains(strings.ReplaceAll(text, "\r\n", ""), "\n") || len(text) > 8<<10 {
		t.Errorf("line ends or size %d are wrong", len(text))
	}
	var d pionsdp.SessionDescription
	if err := d.UnmarshalString(text); err != nil {
		t.Fatal(err)
	}
	if len(d.MediaDescriptions) != len(offer.Sections) {
		t.Fatalf("%d sections for %d", len(d.MediaDescriptions), len(offer.Sections))
	}
	if _, ok := d.Attribute("ice-lite"); !ok {
		t.Error("no ice-lite")
	}
	group, _ := d.Attribute("group")
	for i, m := range d.MediaDescriptions {
		section := offer.Sections[i]
		mid, _ := m.Attribute("mid")
		if mid != section.Mid {
			t.Errorf("section %d: mid %q for %q", i, mid, section.Mid)
		}
		if m.MediaName.Port.Value == 0 {
			continue
		}
		if !strings.Contains(" "+group+" ", " "+mid+" ") {
			t.Errorf("section %d is not in %q", i, group)
		}
		for _, key := range []string{"rtcp-mux", "rtcp-mux-only", "sendonly", "ice-ufrag", "ice-pwd", "fingerprint", "setup",
			"msid"} {
			if _, ok := m.Attribute(key); !ok {
				t.Errorf("section %d has no %s", i, key)
			}
		}
		if ssrc, _ := m.Attribute("ssrc"); !strings.HasSuffix(ssrc, " cname:"+cname) {
			t.Errorf("section %d: a=ssrc:%s is not the cname of the sender reports", i, ssrc)
		}
		if setup, _ := m.Attribute("setup"); setup == offer.Setup || setup == "actpass" {
			t.Errorf("setup %s to %s", setup, offer.Setup)
		}
		if i == 0 {
			if _, ok := m.Attribute("end-of-candidates"); !ok {
				t.Error("no end-of-candidates in the first section")
			}
			if c, _ := m.Attribute("candidate"); !strings.Contains(c, " 1 udp ") {
				t.Errorf("first candidate %q", c)
			}
		}
		offered := false
		for _, c := range section.Codecs {
			offered = offered || m.MediaName.Formats[0] == strconv.Itoa(int(c.PayloadType))
		}
		if !offered {
			t.Errorf("section %d: payload type %s was not offered", i, m.MediaName.Formats[0])
		}
		if section.Kind == siaran.KindAudio {
			if fmtp, _ := m.Attribute("fmtp"); !strings.Contains(fmtp, "stereo=1") {
				t.Errorf("stereo is not in %q", fmtp)
			}
		}
	}
	if len(plans) == 0 {
		t.Error("nothing negotiated")
	}
	sources := map[uint32]bool{}
	for _, p := range plans {
		for _, ssrc := range []uint32{p.SSRC, p.RTXSSRC} {
			if sources[ssrc&3] && ssrc != 0 {
				t.Error("two sources may get one SSRC")
			}
			sources[ssrc&3] = true
		}
	}
}

// TestNoGroupIsAnsweredWhereNoneIsOffered: one section alone needs none.
func TestNoGroupIsAnsweredWhereNoneIsOffered(t *testing.T) {
	socket, err := mediaport.Open(":0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	s, b := &Server{socket: socket}, broadcastOf(t, siaran.Codec{Name: siaran.VP8, ClockRate: 90000})
	for _, group := range []string{"", "a=group:BUNDLE 0\r\n"} {
		offer, err := sdp.ParseOffer([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n" + group +
			"m=video 9 UDP/TLS/RTP/SAVPF 96\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuv\r\n" +
			"a=fingerprint:sha-256 " + strings.Repeat("AB:", 31) + "AB\r\na=setup:actpass\r\na=mid:0\r\na=recvonly\r\n" +
			"a=rtcp-mux\r\na=rtpmap:96 VP8/90000\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		l := answeringLink(socket, offer)
		answer, _, err := s.answer(offer, b, l, false)
		if err != nil {
			t.Fatal(err)
		}
		for what, text := range map[string]string{"first": string(answer), "a restart's": string(l.restarts.Marshal())} {
			if got := strings.Contains(text, "a=group:BUNDLE 0"); got != (group != "") {
				t.Errorf("offered %q, in the %s answer: %v", group, what, got)
			}
		}
	}
}
