package egress

import (
	"crypto/sha256"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"siaran"
)

// plan is what was negotiated for one track.
type plan struct {
	Kind           siaran.Kind
	ClockRate      uint32
	Layers         []*siaran.Layer
	PayloadType    uint8
	SSRC           uint32
	RTXPayloadType uint8 // 0: repairs go out as the packets they repair
	RTXSSRC        uint32
}

// answer writes the answer to a viewer's offer (protocol items W60-W71, E02-E09).
func (s *Server) answer(offer *siaran.Offer, b *siaran.Broadcast, l *link) ([]byte, []plan, error) {
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: uint64(random32()), SessionVersion: 1,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	var plans []plan
	var bundle []string
	taken := map[siaran.Kind]bool{}
	for i := range offer.Sections {
		section := &offer.Sections[i]
		media, p, err := s.section(section, offer, b, l, taken, len(plans) == 0)
		if err != nil {
			return nil, nil, err
		}
		d.MediaDescriptions = append(d.MediaDescriptions, media)
		if p != nil {
			plans = append(plans, *p)
			bundle = append(bundle, section.Mid)
		}
	}
	if len(plans) == 0 {
		return nil, nil, fmt.Errorf("%w: it asks for nothing that the stream has; the stream has %s", siaran.ErrUnacceptable, codecsOf(b))
	}
	d.Attributes = []sdp.Attribute{
		sdp.NewPropertyAttribute(sdp.AttrKeyICELite),
		sdp.NewAttribute("ice-options", "trickle ice2"),
		sdp.NewAttribute(sdp.AttrKeyGroup, "BUNDLE "+strings.Join(bundle, " ")),
		sdp.NewAttribute("msid-semantic", " WMS *"),
	}
	text, err := d.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("write the answer: %w", err)
	}
	return text, plans, nil
}

// section answers one section; without a plan it is refused, in place (E07).
func (s *Server) section(section *siaran.Section, offer *siaran.Offer, b *siaran.Broadcast, l *link, taken map[siaran.Kind]bool, first bool) (*sdp.MediaDescription, *plan, error) {
	track := trackOf(b, section.Kind)
	if track == nil || section.Rejected || taken[section.Kind] || section.Direction == siaran.Inactive {
		return refuse(section, offer), nil, nil
	}
	if section.Direction == siaran.SendOnly {
		return nil, nil, fmt.Errorf("%w: section %d is sendonly; a viewer's sections are recvonly", siaran.ErrUnacceptable, section.Index)
	}
	codec := choose(section.Codecs, track.Codec)
	if codec == nil {
		if section.Kind == siaran.KindAudio && b.Video() != nil {
			return refuse(section, offer), nil, nil
		}
		return nil, nil, fmt.Errorf("%w: it has no %s codec that the stream has; the stream has %s", siaran.ErrUnacceptable, section.Kind, codecsOf(b))
	}
	taken[section.Kind] = true
	source := uint32(audioSource)
	if section.Kind == siaran.KindVideo {
		source = videoSource
	}
	p := &plan{Kind: section.Kind, ClockRate: track.Codec.ClockRate, Layers: track.Layers, PayloadType: codec.PayloadType, SSRC: newSSRC(source)}
	if section.Kind == siaran.KindVideo && codec.RTX != 0 && slices.Contains(codec.Feedback, "nack") {
		p.RTXPayloadType, p.RTXSSRC = codec.RTX, newSSRC(repairSource)
	}
	return s.describe(section, offer, b, l, codec, p, first), p, nil
}

// The sources of a viewer share a key, so no two may ever have one SSRC (RFC 7714 section 8.1): the lowest bits say which it is.
const (
	audioSource = 1 + iota
	videoSource
	repairSource
)

func newSSRC(source uint32) uint32 { return random32()&^3 | source }

func (s *Server) describe(section *siaran.Section, offer *siaran.Offer, b *siaran.Broadcast, l *link, codec *siaran.OfferedCodec, p *plan, first bool) *sdp.MediaDescription {
	addresses := s.socket.Addresses()
	m := mediaLine(section, offer)
	m.MediaName.Port.Value = int(addresses[0].Port())
	m.ConnectionInformation = connection(addresses[0].Addr())
	m.MediaName.Formats = []string{itoa(p.PayloadType)}
	m.WithValueAttribute(sdp.AttrKeyMID, section.Mid).
		WithICECredentials(l.ufrag, l.pwd).
		WithFingerprint("sha-256", s.fingerprint).
		WithValueAttribute(sdp.AttrKeyConnectionSetup, answerSetup(offer.Setup)).
		WithPropertyAttribute(string(siaran.SendOnly)).
		WithPropertyAttribute(sdp.AttrKeyRTCPMux).
		WithPropertyAttribute("rtcp-mux-only")
	if section.RTCPReduced {
		m.WithPropertyAttribute(sdp.AttrKeyRTCPRsize)
	}
	describeCodec(m, codec, p, trackOf(b, section.Kind).Codec)
	describeSources(m, b.Stream(), p)
	if first { // the section that the whole bundle's transport is described in (RFC 9143 section 7.3)
		for i, a := range addresses {
			m.WithValueAttribute(sdp.AttrKeyCandidate, candidate(i, a.Addr().String(), a.Port()))
		}
		m.WithPropertyAttribute(sdp.AttrKeyEndOfCandidates)
	}
	return m
}

// describeCodec answers the chosen payload type and that of its retransmissions, as the offer numbers them (W68).
func describeCodec(m *sdp.MediaDescription, codec *siaran.OfferedCodec, p *plan, sent siaran.Codec) {
	encoding := sdpName(codec.Name) + "/" + strconv.Itoa(int(codec.ClockRate))
	if codec.Channels > 1 {
		encoding += "/" + strconv.Itoa(int(codec.Channels))
	}
	format := itoa(p.PayloadType) + " "
	m.WithValueAttribute("rtpmap", format+encoding)
	if fmtp := answerFMTP(codec, sent); fmtp != "" {
		m.WithValueAttribute("fmtp", format+fmtp)
	}
	for _, feedback := range []string{"nack", "nack pli", "ccm fir"} {
		if slices.Contains(codec.Feedback, feedback) {
			m.WithValueAttribute("rtcp-fb", format+feedback)
		}
	}
	if p.RTXPayloadType != 0 {
		rtx := itoa(p.RTXPayloadType)
		m.MediaName.Formats = append(m.MediaName.Formats, rtx)
		m.WithValueAttribute("rtpmap", rtx+" rtx/"+strconv.Itoa(int(codec.ClockRate)))
		m.WithValueAttribute("fmtp", rtx+" apt="+itoa(p.PayloadType))
	}
}

// describeSources declares what will be sent; Chrome refuses an FID group of undeclared members (P41).
func describeSources(m *sdp.MediaDescription, stream siaran.StreamName, p *plan) {
	msid := "siaran " + p.Kind.String()
	m.WithValueAttribute("msid", msid)
	ssrcs := []uint32{p.SSRC}
	if p.RTXPayloadType != 0 {
		ssrcs = append(ssrcs, p.RTXSSRC)
		m.WithValueAttribute("ssrc-group", fmt.Sprintf("FID %d %d", p.SSRC, p.RTXSSRC))
	}
	for _, ssrc := range ssrcs {
		m.WithValueAttribute("ssrc", fmt.Sprintf("%d cname:siaran", ssrc))
		m.WithValueAttribute("ssrc", fmt.Sprintf("%d msid:%s", ssrc, msid))
	}
}

// refuse is a section with port 0 (RFC 3264 section 6). It says of its payload types what they are: pion/webrtc v4
// looks that up of a refused section too.
func refuse(section *siaran.Section, offer *siaran.Offer) *sdp.MediaDescription {
	m := mediaLine(section, offer)
	offered := offer.Description.MediaDescriptions[section.Index]
	m.MediaName.Port.Value = 0
	m.MediaName.Formats = offered.MediaName.Formats
	m.WithPropertyAttribute(string(siaran.Inactive))
	if section.Mid != "" {
		m.WithValueAttribute(sdp.AttrKeyMID, section.Mid)
	}
	for _, a := range offered.Attributes {
		if a.Key == "rtpmap" {
			m.WithValueAttribute(a.Key, strings.TrimSpace(a.Value))
		}
	}
	return m
}

// mediaLine begins an answer's section as the offer's begins.
func mediaLine(section *siaran.Section, offer *siaran.Offer) *sdp.MediaDescription {
	offered := offer.Description.MediaDescriptions[section.Index].MediaName
	return &sdp.MediaDescription{
		MediaName:             sdp.MediaName{Media: offered.Media, Protos: offered.Protos},
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"}},
	}
}

func candidate(i int, address string, port uint16) string {
	// RFC 8445 section 5.1.2.1: type preference of host candidates 126, component 1
	priority := 126<<24 | (65535-i)<<8 | 255
	return fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, priority, address, port)
}

// answerSetup is our DTLS role (RFC 8842 section 5.3): the server's wherever the viewer leaves it open.
func answerSetup(offered string) string {
	if offered == "passive" {
		return "active"
	}
	return "passive"
}

func trackOf(b *siaran.Broadcast, kind siaran.Kind) *siaran.Track {
	switch kind {
	case siaran.KindAudio:
		return b.Audio()
	case siaran.KindVideo:
		return b.Video()
	}
	return nil
}

func codecsOf(b *siaran.Broadcast) string {
	var names []string
	for _, kind := range []siaran.Kind{siaran.KindVideo, siaran.KindAudio} {
		if t := trackOf(b, kind); t != nil {
			names = append(names, sdpName(t.Codec.Name))
		}
	}
	return strings.Join(names, " and ")
}

// fingerprintOf is a certificate's hash as SDP writes it (RFC 8122 section 5).
func fingerprintOf(certificate []byte) string {
	sum := sha256.Sum256(certificate)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}
