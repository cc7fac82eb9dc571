package egress

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"

	"siaran"
)

// choose takes the payload type to send a track with: of its codec, and of those the one
// whose parameters come nearest (C04, C31, C40). Nil means that the viewer cannot play it.
func choose(offered []siaran.OfferedCodec, sent siaran.Codec) *siaran.OfferedCodec {
	var best *siaran.OfferedCodec
	bestScore := -1
	for i := range offered {
		c := &offered[i]
		if c.Name != sent.Name || c.ClockRate != sent.ClockRate {
			continue
		}
		if score := fit(parameters(c.FMTP), parameters(sent.FMTP), sent.Name); score > bestScore {
			best, bestScore = c, score
		}
	}
	return best
}

// fit tells how well a viewer's parameters suit what is sent; below 0: not at all. For H264 the profile is a
// matter of taste (an encoder's own SDP is seldom true to its stream), the packetization is not.
func fit(viewer, sent map[string]string, name siaran.CodecName) int {
	switch name {
	case siaran.H264:
		mode := viewer["packetization-mode"]
		profile, want := strings.ToLower(viewer["profile-level-id"]), strings.ToLower(sent["profile-level-id"])
		score := 1
		if mode == "1" {
			score += 10
		} else if mode == "0" {
			return -1 // RFC 6184 section 6.2 allows no fragments there; an offer that says nothing is given the benefit of the doubt
		}
		switch {
		case len(profile) == 6 && len(want) == 6 && profile[:4] == want[:4]:
			score += 3
		case len(profile) == 6 && len(want) == 6 && profile[:2] == want[:2]:
			score += 2
		}
		return score
	case siaran.VP9, siaran.H265:
		return sameProfile(viewer["profile-id"], sent["profile-id"], name)
	case siaran.AV1:
		return sameProfile(viewer["profile"], sent["profile"], name)
	}
	return 1
}

// sameProfile compares profiles; the default is 0, for H265 1 (RFC 7798 section 7.1).
func sameProfile(viewer, sent string, name siaran.CodecName) int {
	def := "0"
	if name == siaran.H265 {
		def = "1"
	}
	if viewer == "" {
		viewer = def
	}
	if sent == "" {
		sent = def
	}
	if viewer == sent {
		return 2
	}
	return -1
}

// parameters splits an a=fmtp value.
func parameters(fmtp string) map[string]string {
	m := make(map[string]string)
	for part := range strings.SplitSeq(fmtp, ";") {
		if key, value, _ := strings.Cut(strings.TrimSpace(part), "="); key != "" {
			m[strings.ToLower(key)] = value
		}
	}
	return m
}

// answerFMTP is the offer's own parameters, and stereo for Opus when the broadcaster sends it (E09).
func answerFMTP(codec *siaran.OfferedCodec, sent siaran.Codec) string {
	fmtp := codec.FMTP
	from := parameters(sent.FMTP)
	if codec.Name != siaran.Opus || from["stereo"] != "1" && from["sprop-stereo"] != "1" {
		return fmtp
	}
	have := parameters(fmtp)
	for _, key := range []string{"stereo", "sprop-stereo"} {
		if _, ok := have[key]; !ok {
			fmtp = strings.TrimPrefix(fmtp+";"+key+"=1", ";")
		}
	}
	return fmtp
}

// sdpName is a codec's name as most write it: some clients do not fold its case.
func sdpName(name siaran.CodecName) string {
	if name == siaran.Opus {
		return "opus"
	}
	return string(name)
}

func connection(address netip.Addr) *sdp.ConnectionInformation {
	family := "IP4"
	if address.Is6() {
		family = "IP6"
	}
	return &sdp.ConnectionInformation{NetworkType: "IN", AddressType: family, Address: &sdp.Address{Address: address.String()}}
}

func itoa(payloadType uint8) string { return strconv.Itoa(int(payloadType)) }
