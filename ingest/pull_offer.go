package ingest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	pionsdp "github.com/pion/sdp/v3"

	"siaran"
	"siaran/internal/sdp"
)

// format is a payload type that a pull offers.
type format struct {
	pt, rtx    uint8 // rtx is 0 for audio
	codec      siaran.CodecName
	rate       string // as in a=rtpmap, with channels
	parameters string
}

// formats are all that can be passed on. An answer names one of them, and what it says is what comes, so each profile
// has a payload type of its own. Those from 35 to 63 are free when RTCP has the same port (RFC 5761 section 4).
var formats = []format{
	{111, 0, siaran.Opus, "48000/2", "minptime=10;useinbandfec=1"},
	{112, 0, siaran.MultiOpus, "48000/6", "channel_mapping=0,4,1,2,3,5;num_streams=4;coupled_streams=2"},
	{113, 0, siaran.MultiOpus, "48000/8", "channel_mapping=0,6,1,2,3,4,5,7;num_streams=5;coupled_streams=3"},
	{114, 0, siaran.MultiOpus, "48000/4", "channel_mapping=0,1,2,3;num_streams=2;coupled_streams=2"},
	{9, 0, siaran.G722, "8000", ""},
	{0, 0, siaran.PCMU, "8000", ""},
	{8, 0, siaran.PCMA, "8000", ""},
	{96, 97, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e034"},
	{98, 99, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=420034"},
	{100, 101, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d0034"},
	{102, 103, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c34"},
	{104, 105, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640034"},
	{106, 107, siaran.H264, "90000", "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=f40034"},
	{116, 117, siaran.VP8, "90000", ""},
	{118, 119, siaran.VP9, "90000", "profile-id=0"},
	{120, 121, siaran.VP9, "90000", "profile-id=2"},
	{122, 123, siaran.VP9, "90000", "profile-id=1"},
	{124, 125, siaran.VP9, "90000", "profile-id=3"},
	{35, 36, siaran.AV1, "90000", "level-idx=13;profile=0;tier=0"},
	{37, 38, siaran.AV1, "90000", "level-idx=13;profile=1;tier=0"},
	{39, 40, siaran.AV1, "90000", "level-idx=13;profile=2;tier=0"},
	{41, 42, siaran.H265, "90000", "level-id=153;profile-id=1;tier-flag=0;tx-mode=SRST"},
	{43, 44, siaran.H265, "90000", "level-id=153;profile-id=2;tier-flag=0;tx-mode=SRST"},
	{45, 46, siaran.H265, "90000", "level-id=153;profile-id=4;tier-flag=0;tx-mode=SRST"},
}

var (
	pulledFeedback   = []string{"nack", "nack pli", "ccm fir", "ccm tmmbr", "transport-cc"}
	pulledExtensions = []sdp.Extension{
		{ID: 1, URI: uriMid}, {ID: 2, URI: sdp.URINumber}, {ID: 3, URI: sdp.URIDescriptor},
	}
)

// maxPulledLayers bounds the sections of an offer.
const maxPulledLayers = 8

// pulledSection is a section of a pull's offer. Its mid is its index.
type pulledSection struct {
	kind siaran.Kind
	rid  string // of the layer that is asked for; empty: what the parent thinks best
}

// pulledSections are one of audio, and one of video for each layer that the parent has. A stream without several layers
// is asked for as from any server.
func pulledSections(layers []string) []pulledSection {
	list := []pulledSection{{kind: siaran.KindAudio}}
	for _, rid := range layers {
		if sdp.IsRID(rid) && !slices.Contains(list, pulledSection{siaran.KindVideo, rid}) && len(list) <= maxPulledLayers {
			list = append(list, pulledSection{siaran.KindVideo, rid})
		}
	}
	if len(list) < 3 {
		list = append(list[:1], pulledSection{kind: siaran.KindVideo})
	}
	return list
}

// pullFormats are those that a server offers, audio first, then video in its order of preference.
func pullFormats() (list []format) {
	for _, name := range append([]siaran.CodecName{""}, videoCodecs...) {
		for _, f := range formats {
			if f.codec == name || name == "" && f.codec.Kind() == siaran.KindAudio {
				list = append(list, f)
			}
		}
	}
	return list
}

// writeOffer writes the offer of a pull.
func writeOffer(sections []pulledSection, offered []format, l local, candidates []string) ([]byte, error) {
	d := &pionsdp.SessionDescription{
		Origin: pionsdp.Origin{
			Username: "-", SessionID: sessionNumber(l.ufrag) >> 1, SessionVersion: 1,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []pionsdp.TimeDescription{{}},
	}
	bundle := "BUNDLE"
	for i := range sections {
		bundle += " " + strconv.Itoa(i)
	}
	d.WithValueAttribute("group", bundle)
	d.WithValueAttribute("msid-semantic", " WMS *")
	d.WithPropertyAttribute("extmap-allow-mixed")
	for i, s := range sections {
		m := pionsdp.NewJSEPMediaDescription(s.kind.String(), nil)
		m.WithValueAttribute("mid", strconv.Itoa(i))
		m.WithICECredentials(l.ufrag, l.password)
		m.WithFingerprint(l.fingerprint.Algorithm, l.fingerprint.Value)
		m.WithValueAttribute("setup", "actpass")
		m.WithPropertyAttribute("recvonly")
		m.WithPropertyAttribute("rtcp-mux")
		m.WithPropertyAttribute("rtcp-rsize")
		for _, e := range pulledExtensions {
			if e.URI == sdp.URIDescriptor && s.kind != siaran.KindVideo {
				continue
			}
			m.WithValueAttribute("extmap", fmt.Sprintf("%d %s", e.ID, e.URI))
		}
		for _, f := range offered {
			if f.codec.Kind() == s.kind {
				writeFormat(m, f, s.rid != "")
			}
		}
		if s.rid != "" {
			m.WithValueAttribute("rid", s.rid+" recv")
		}
		for _, c := range candidates {
			m.WithValueAttribute("candidate", c)
		}
		m.WithPropertyAttribute("end-of-candidates")
		d.WithMedia(m)
	}
	return d.Marshal()
}

// writeFormat adds a format. pauses: the section may be paused by a bitrate of 0 (RFC 7728).
func writeFormat(m *pionsdp.MediaDescription, f format, pauses bool) {
	pt := strconv.Itoa(int(f.pt))
	m.MediaName.Formats = append(m.MediaName.Formats, pt)
	m.WithValueAttribute("rtpmap", pt+" "+sdp.EncodingName(f.codec)+"/"+f.rate)
	if f.parameters != "" {
		m.WithValueAttribute("fmtp", pt+" "+f.parameters)
	}
	for _, feedback := range pulledFeedback {
		if feedback == "ccm tmmbr" && !pauses {
			continue
		}
		if f.rtx != 0 || feedback == "transport-cc" || feedback == "nack" { // lost sound is sent again as it was
			m.WithValueAttribute("rtcp-fb", pt+" "+feedback)
		}
	}
	if f.rtx == 0 {
		return
	}
	rtx := strconv.Itoa(int(f.rtx))
	clock, _, _ := strings.Cut(f.rate, "/")
	m.MediaName.Formats = append(m.MediaName.Formats, rtx)
	m.WithValueAttribute("rtpmap", rtx+" rtx/"+clock)
	m.WithValueAttribute("fmtp", rtx+" apt="+pt)
}
