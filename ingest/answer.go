package ingest

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"siaran"
)

// local is this side of a session's transport, as the answer tells it.
type local struct {
	ufrag, password string
	fingerprint     string // "sha-256 AB:CD..."
	setup           string // active or passive
	addresses       []netip.AddrPort
	tcp             []netip.AddrPort // empty when TCP is not taken
}

// answerRole is the DTLS role that answers an offered one (RFC 8842 section 5.3). Of the two
// that actpass leaves open, active saves a wait for the broadcaster's first flight.
func answerRole(offered string) string {
	if offered == "active" {
		return "passive"
	}
	return "active"
}

// writeAnswer answers an offer. Sections, mids, payload types, format parameters and extension ids are
// the offer's (RFC 3264 section 6); sections that are not chosen are refused in their place. All
// candidates are in it, in the order of l.addresses, because some clients take only the first.
func writeAnswer(offer *siaran.Offer, chosen []choice, l local) ([]byte, error) {
	d := &sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: sessionNumber(l.ufrag), SessionVersion: 1,
			NetworkType: "IN", AddressType: "IP4", UnicastAddress: "127.0.0.1",
		},
		SessionName:      "-",
		TimeDescriptions: []sdp.TimeDescription{{}},
	}
	tagged := bundleTag(offer, chosen)
	if offersBundle(offer) {
		var mids []string
		for _, mid := range offer.Bundle {
			if slices.ContainsFunc(chosen, func(c choice) bool { return c.section.Mid == mid }) {
				mids = append(mids, mid)
			}
		}
		d.WithValueAttribute("group", "BUNDLE "+strings.Join(mids, " "))
	}
	d.WithValueAttribute("ice-options", "trickle ice2")
	for i, m := range offer.Description.MediaDescriptions {
		at := slices.IndexFunc(chosen, func(c choice) bool { return c.section.Index == i })
		if at < 0 {
			d.WithMedia(refusedSection(m))
			continue
		}
		c := &chosen[at]
		section := acceptedSection(m, c)
		addTransport(section, l, c.section.Index == tagged)
		d.WithMedia(section)
	}
	return d.Marshal()
}

// sessionNumber makes a session id for o= that differs from session to session (RFC 8866 section 5.2).
func sessionNumber(seed string) uint64 {
	n := uint64(0)
	for _, c := range []byte(seed) {
		n = n*31 + uint64(c)
	}
	return n >> 1 // some clients read it as a signed number
}

// bundleTag is the index of the section whose transport all others share (RFC 9143 section 7.3.2).
func bundleTag(offer *siaran.Offer, chosen []choice) int {
	for _, mid := range offer.Bundle {
		for _, c := range chosen {
			if c.section.Mid == mid {
				return c.section.Index
			}
		}
	}
	return chosen[0].section.Index
}

func offersBundle(offer *siaran.Offer) bool {
	return slices.ContainsFunc(offer.Description.Attributes, func(a sdp.Attribute) bool {
		return a.Key == "group" && strings.HasPrefix(a.Value, "BUNDLE ")
	})
}

func refusedSection(offered *sdp.MediaDescription) *sdp.MediaDescription {
	m := emptySection(offered, 0)
	m.MediaName.Formats = offered.MediaName.Formats
	if len(m.MediaName.Formats) == 0 {
		m.MediaName.Formats = []string{"0"} // an m-line has at least one
	}
	if mid, there := offered.Attribute("mid"); there {
		m.WithValueAttribute("mid", mid)
	}
	for _, a := range offered.Attributes {
		if a.Key == "rtpmap" { // some clients look up the payload types of a refused section too
			m.WithValueAttribute(a.Key, strings.TrimSpace(a.Value))
		}
	}
	return m.WithPropertyAttribute("inactive")
}

// emptySection has a c= line even when it is refused: Firefox does not parse it otherwise.
func emptySection(offered *sdp.MediaDescription, port int) *sdp.MediaDescription {
	return &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: offered.MediaName.Media, Port: sdp.RangedPort{Value: port}, Protos: offered.MediaName.Protos,
		},
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: "0.0.0.0"},
		},
	}
}

func acceptedSection(offered *sdp.MediaDescription, c *choice) *sdp.MediaDescription {
	m := emptySection(offered, 9)
	if mid, there := offered.Attribute("mid"); there {
		m.WithValueAttribute("mid", mid)
	}
	for _, e := range c.extensions {
		id := strconv.Itoa(e.ID)
		if e.Direction == siaran.SendOnly {
			id += "/recvonly"
		}
		m.WithValueAttribute("extmap", id+" "+e.URI)
	}
	m.WithPropertyAttribute("recvonly")
	m.WithPropertyAttribute("rtcp-mux")
	m.WithPropertyAttribute("rtcp-mux-only")
	if c.section.RTCPReduced {
		m.WithPropertyAttribute("rtcp-rsize")
	}
	addCodec(m, c)
	if rids := c.section.RIDs; len(rids) > 0 {
		var layers []string
		for _, r := range rids {
			m.WithValueAttribute("rid", r.ID+" recv")
			if r.Paused {
				layers = append(layers, "~"+r.ID)
			} else {
				layers = append(layers, r.ID)
			}
		}
		m.WithValueAttribute("simulcast", "recv "+strings.Join(layers, ";"))
	}
	return m
}

func addCodec(m *sdp.MediaDescription, c *choice) {
	pt := strconv.Itoa(int(c.codec.PayloadType))
	m.MediaName.Formats = []string{pt}
	rate := strconv.Itoa(int(c.codec.ClockRate))
	encoding := encodingName(c.codec.Name) + "/" + rate
	if c.codec.Channels > 1 {
		encoding += "/" + strconv.Itoa(int(c.codec.Channels))
	}
	m.WithValueAttribute("rtpmap", pt+" "+encoding)
	if format := formatTaken(c.codec); format != "" {
		m.WithValueAttribute("fmtp", pt+" "+format)
	}
	for _, f := range c.feedback {
		m.WithValueAttribute("rtcp-fb", pt+" "+f)
	}
	if c.codec.RTX != 0 {
		rtx := strconv.Itoa(int(c.codec.RTX))
		m.MediaName.Formats = append(m.MediaName.Formats, rtx)
		m.WithValueAttribute("rtpmap", rtx+" rtx/"+rate)
		m.WithValueAttribute("fmtp", rtx+" apt="+pt)
	}
}

// formatTaken is the codec's format parameters as the receiver has them. Where they bound what a receiver can take (RFC 7741
// section 6.1, RFC 9628 section 6), the broadcaster's own bounds are not ours.
func formatTaken(c siaran.OfferedCodec) string {
	if c.Name != siaran.VP8 && c.Name != siaran.VP9 {
		return c.FMTP
	}
	parameters := slices.DeleteFunc(strings.Split(c.FMTP, ";"), func(p string) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(p), "=")
		return name == "max-fs" || name == "max-fr"
	})
	return strings.TrimSpace(strings.Join(parameters, ";"))
}

// encodingName writes Opus as RFC 7587 does, in lower case; clients compare it so.
func encodingName(n siaran.CodecName) string {
	if n == siaran.Opus {
		return "opus"
	}
	return string(n)
}

func addTransport(m *sdp.MediaDescription, l local, tagged bool) {
	m.WithValueAttribute("setup", l.setup)
	m.WithValueAttribute("ice-ufrag", l.ufrag)
	m.WithValueAttribute("ice-pwd", l.password)
	m.WithValueAttribute("fingerprint", l.fingerprint)
	if !tagged {
		return
	}
	for i, a := range l.addresses {
		// A host candidate's type preference is 126; the rest of the priority falls from one to
		// the next (RFC 8445 section 5.1.2).
		priority := uint32(126)<<24 | uint32(65535-i)<<8 | 255
		m.WithValueAttribute("candidate", fmt.Sprintf("%d 1 udp %d %s %d typ host", i+1, priority, a.Addr().Unmap().WithZone(""), a.Port()))
	}
	for i, a := range l.tcp {
		// After all of UDP. The type preference is 90, as browsers have it; the direction preference of a
		// passive host candidate is 4 (RFC 6544 section 4.2).
		priority := uint32(90)<<24 | uint32(4<<13|(8191-i))<<8 | 255
		m.WithValueAttribute("candidate", fmt.Sprintf("%d 1 tcp %d %s %d typ host tcptype passive", len(l.addresses)+i+1, priority, a.Addr(), a.Port()))
	}
	m.WithPropertyAttribute("end-of-candidates")
}
