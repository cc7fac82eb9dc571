package egress

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"siaran"
	"siaran/internal/sdp"
)

// plan is what was negotiated for one track.
type plan struct {
	Kind           siaran.Kind
	Section        int // index in the offer
	ClockRate      uint32
	Layers         []*siaran.Layer
	PayloadType    uint8
	SSRC           uint32
	RTXPayloadType uint8 // 0: repairs go out as the packets they repair
	RTXSSRC        uint32
	HoldID         uint8 // of the header extension that hold writes; 0: it is not negotiated
	NumberID       uint8 // of that with the transport-wide number; 0: it is not negotiated
	StampID        uint8 // of that with the time of sending, which REMB is made from; 0: it is not negotiated
	DescriptorID   uint8 // of that with the dependency descriptor; 0: it is not negotiated
	Choice         bool  // there is something to choose: several layers, or layers within one
}

// answer writes the answer to a viewer's offer, and notes what the answers to its restarts are to repeat.
func (s *Server) answer(offer *sdp.Offer, b *siaran.Broadcast, l *link, child bool) ([]byte, []plan, error) {
	plans, err := planSections(offer, b, child)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(plans, func(p *sectionPlan) bool { return p != nil }) {
		return nil, nil, fmt.Errorf("%w: it asks for nothing that the stream has; the stream has %s",
			siaran.ErrUnacceptable, codecsOf(b))
	}
	accepted := func(i int) bool { return plans[i] != nil || carriesBundle(offer, &offer.Sections[i]) }
	var mids []string // of the group; none is answered where none is offered (RFC 9143 section 7.3)
	for i := range plans {
		if offer.Grouped && accepted(i) {
			mids = append(mids, offer.Sections[i].Mid)
		}
	}
	a := sdp.NewAnswer(offer, uint64(random32()))
	a.Attribute("ice-lite", "")
	a.Attribute("ice-options", sdp.ICEOptions)
	if offer.Grouped {
		a.Attribute("group", "BUNDLE "+strings.Join(mids, " "))
	}
	a.Attribute("msid-semantic", " WMS *")
	addresses := s.socket.Addresses()
	transport := sdp.Transport{
		Ufrag: l.ufrag, Password: l.pwd, Fingerprint: l.certificate.fingerprint, Setup: answerSetup(offer.Setup),
	}
	var taken []plan
	for i, p := range plans {
		offered := &offer.Sections[i]
		if !accepted(i) {
			a.Refuse(offered)
			continue
		}
		section := a.Accept(offered)
		section.At(addresses[0])
		section.Attribute("mid", offered.Mid)
		section.Transport(transport)
		if p != nil {
			p.describe(section)
			taken = append(taken, p.plan)
		} else {
			section.Direction(sdp.Inactive)
			section.Codec(&offered.Codecs[0], offered.Codecs[0].FMTP, nil, false)
		}
		if l.restarts.Mid == "" { // it describes the transport of the whole bundle (RFC 9143 section 7.3)
			section.Candidates(addresses, nil)
			l.restarts = sdp.RestartAnswer{Lite: true, Bundle: mids, Kind: offered.Kind, Mid: offered.Mid}
		}
	}
	text, err := a.Marshal()
	if err != nil {
		return nil, nil, fmt.Errorf("write the answer: %w", err)
	}
	return text, taken, nil
}

// carriesBundle reports whether a section of the offer is accepted even if nothing is sent in it: Chromium and others
// with the bundle policy max-bundle fail on an answer that refuses the section with the transport of the bundle.
func carriesBundle(offer *sdp.Offer, s *sdp.Section) bool {
	return len(offer.Bundle) > 0 && s.Mid == offer.Bundle[0] && !s.Rejected && len(s.Codecs) > 0
}

// sectionPlan is the plan for one section, with what the answer says of it besides.
type sectionPlan struct {
	plan
	codec *sdp.OfferedCodec
	sent  siaran.Codec
	layer string // the rid of the one that a child's section is for; empty: it is for the track
	// Header extensions that are negotiated, and feedback beside that of repair.
	extensions []sdp.Extension
	feedback   []string
}

// planSections decides what is sent in which section of the offer; nil stands for a section that is refused.
func planSections(offer *sdp.Offer, b *siaran.Broadcast, child bool) ([]*sectionPlan, error) {
	plans := make([]*sectionPlan, len(offer.Sections))
	taken := taken{}
	choice := !child && hasChoice(b.Video(), slices.ContainsFunc(offer.Sections, takesDescriptors))
	for i := range offer.Sections {
		section := &offer.Sections[i]
		track := trackOf(b, section.Kind)
		if track == nil || section.Rejected || section.Direction == sdp.Inactive || !taken.room(section, track, child) {
			continue
		}
		if section.Direction == sdp.SendOnly {
			return nil, fmt.Errorf("%w: section %d is sendonly; a viewer's sections are recvonly",
				siaran.ErrUnacceptable, section.Index)
		}
		codec := choose(section.Codecs, sentCodec(track))
		if codec == nil && section.Kind == siaran.KindAudio && b.Video() != nil {
			continue // the picture without sound
		}
		if codec == nil {
			return nil, fmt.Errorf("%w: it has no %s codec that the stream has; the stream has %s",
				siaran.ErrUnacceptable, section.Kind, codecsOf(b))
		}
		plans[i] = planSection(section, track, codec, choice, len(taken[section.Kind]))
		if child {
			plans[i].forChild(section, time.Now())
		}
		taken[section.Kind] = append(taken[section.Kind], plans[i].layer)
	}
	return plans, nil
}

// taken are the sections that are accepted, by kind: the names of the layers that they are for, if they are for one.
type taken map[siaran.Kind][]string

// room reports whether another section can be accepted: one of each kind, and for a child one for each layer.
func (t taken) room(s *sdp.Section, track *siaran.Track, child bool) bool {
	before := t[s.Kind]
	if len(before) == 0 {
		return true
	}
	return child && s.Layer != "" && !slices.Contains(before, "") && !slices.Contains(before, s.Layer) &&
		slices.ContainsFunc(track.Layers, func(l *siaran.Layer) bool { return l.RID() == s.Layer })
}

// planSection plans a section; nth is how many of its kind there are before it.
func planSection(
	section *sdp.Section, track *siaran.Track, codec *sdp.OfferedCodec, choice bool, nth int,
) *sectionPlan {
	p := &sectionPlan{codec: codec, sent: track.Codec, plan: plan{
		Kind: section.Kind, Section: section.Index, ClockRate: track.Codec.ClockRate, Layers: track.Layers,
		PayloadType: codec.PayloadType, SSRC: newSSRC(audioSSRC), Choice: choice,
	}}
	if choice {
		p.estimated(section)
	}
	if section.Kind != siaran.KindVideo {
		return p
	}
	if e, ok := offered(section, sdp.URIDescriptor); ok && takesDescriptors(*section) && hasApart(track) {
		p.DescriptorID = uint8(e.ID)
		p.extensions = append(p.extensions, e)
	}
	p.SSRC = newSSRC(videoSSRC + uint32(2*nth))
	if codec.RTX != 0 && slices.Contains(codec.Feedback, "nack") {
		p.RTXPayloadType, p.RTXSSRC = codec.RTX, newSSRC(repairSSRC+uint32(2*nth))
	}
	if p.RTXPayloadType == 0 {
		// A packet that is sent again without RTX must be byte-identical: nothing may be in it that changes with time.
		return p
	}
	if e, ok := offered(section, uriHold); ok {
		p.HoldID = uint8(e.ID)
		p.extensions = append(p.extensions, e)
	}
	if e, ok := offered(section, uriStamp); ok && p.NumberID == 0 && slices.Contains(p.feedback, "goog-remb") {
		p.StampID = uint8(e.ID)
		p.extensions = append(p.extensions, e)
	}
	return p
}

// estimated takes what the viewer offers for estimating what its path carries.
func (p *sectionPlan) estimated(section *sdp.Section) {
	e, ok := offered(section, sdp.URINumber)
	if ok && slices.Contains(p.codec.Feedback, "transport-cc") {
		p.NumberID = uint8(e.ID)
		p.extensions = append(p.extensions, e)
		p.feedback = append(p.feedback, "transport-cc")
	}
	if slices.Contains(p.codec.Feedback, "goog-remb") {
		p.feedback = append(p.feedback, "goog-remb")
	}
}

// hasChoice reports whether viewers of a track may get different things: if it has several layers, or if the newest
// packets show temporal or spatial layers. For those of AV1 with spatial layers, they have to take descriptors.
func hasChoice(video *siaran.Track, described bool) bool {
	if video == nil {
		return false
	}
	return len(video.Layers) > 1 || shows(video.Layers[0], func(p *siaran.Packet) bool {
		return (p.Temporal > 0 || p.Spatial > 0) && (described || p.Apart == nil)
	})
}

// hasApart reports whether the newest packets of a track are AV1 with spatial layers.
func hasApart(video *siaran.Track) bool {
	return slices.ContainsFunc(video.Layers, func(l *siaran.Layer) bool {
		return shows(l, func(p *siaran.Packet) bool { return p.Apart != nil })
	})
}

// shows reports whether one of a layer's newest packets is such.
func shows(l *siaran.Layer, such func(*siaran.Packet) bool) bool {
	const looked = 256 // packets
	for seq := l.Head() - 1; seq >= max(l.Tail(), l.Head()-looked); seq-- {
		if p := l.Get(seq); p != nil && such(p) {
			return true
		}
	}
	return false
}

// takesDescriptors reports whether a viewer takes dependency descriptors in a section. Those with a structure are
// longer than 16 bytes.
func takesDescriptors(s sdp.Section) bool {
	_, ok := offered(&s, sdp.URIDescriptor)
	return ok && s.Kind == siaran.KindVideo && s.Mixed
}

// The SSRCs of a viewer share a key, so no two may ever be the same (RFC 7714 section 8.1): the lowest bits say which
// one it is. Further layers have the numbers behind these; there are fewer than 15.
const (
	audioSSRC = 1 + iota
	videoSSRC
	repairSSRC
)

func newSSRC(which uint32) uint32 { return random32()&^31 | which }

// describe writes what is sent in the section: the payload types as the offer numbers them, and the SSRCs, without
// which Chrome refuses an FID group.
func (p *sectionPlan) describe(s *sdp.AnswerSection) {
	s.Direction(sdp.SendOnly)
	var feedback []string
	for _, f := range []string{"nack", "nack pli", "ccm fir"} {
		if slices.Contains(p.codec.Feedback, f) {
			feedback = append(feedback, f)
		}
	}
	feedback = append(feedback, p.feedback...)
	s.Codec(p.codec, answerFMTP(p.codec, p.sent), feedback, p.RTXPayloadType != 0)
	for _, e := range p.extensions {
		s.Extension(e)
	}
	if p.DescriptorID != 0 {
		s.Attribute("extmap-allow-mixed", "")
	}
	msid := "siaran " + p.Kind.String()
	if p.layer != "" {
		s.Attribute("rid", p.layer+" send")
		msid += "-" + p.layer
	}
	s.Attribute("msid", msid)
	ssrcs := []uint32{p.SSRC}
	if p.RTXPayloadType != 0 {
		ssrcs = append(ssrcs, p.RTXSSRC)
		s.Attribute("ssrc-group", fmt.Sprintf("FID %d %d", p.SSRC, p.RTXSSRC))
	}
	for _, ssrc := range ssrcs {
		s.Attribute("ssrc", fmt.Sprintf("%d cname:%s", ssrc, cname))
		s.Attribute("ssrc", fmt.Sprintf("%d msid:%s", ssrc, msid))
	}
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
			names = append(names, sdp.EncodingName(t.Codec.Name))
		}
	}
	return strings.Join(names, " and ")
}
