package ingest

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/internal/sdp"
)

// local is our end of a session's transport, as the answer describes it.
type local struct {
	ufrag, password string
	certificate     webrtc.Certificate
	fingerprint     sdp.Fingerprint // of the certificate
	setup           string          // active or passive
	addresses       []netip.AddrPort
	tcp             []netip.AddrPort // empty when TCP is not accepted
	reach           reach            // of the broadcaster
}

// answerRole is the DTLS role that answers an offered one (RFC 8842 section 5.3). When the offer leaves it open
// (actpass), active saves waiting for the broadcaster's first flight.
func answerRole(offered string) string {
	if offered == "active" {
		return "passive"
	}
	return "active"
}

// writeAnswer answers an offer. Sections, mids, payload types, format parameters and extension ids are the offer's
// (RFC 3264 section 6); a section that is not chosen is refused in its place. All candidates are in the answer, in the
// order of l.addresses, because some clients use only the first.
func writeAnswer(offer *sdp.Offer, chosen []choice, l local) ([]byte, error) {
	a := sdp.NewAnswer(offer, sessionNumber(l.ufrag))
	if offer.Grouped {
		a.Attribute("group", "BUNDLE "+strings.Join(bundle(offer, chosen), " "))
	}
	a.Attribute("ice-options", sdp.ICEOptions)
	tagged := bundleTag(offer, chosen)
	for i := range offer.Sections {
		at := slices.IndexFunc(chosen, func(c choice) bool { return c.section.Index == i })
		if at < 0 {
			a.Refuse(&offer.Sections[i])
			continue
		}
		answerSection(a, &chosen[at], l, i == tagged)
	}
	return a.Marshal()
}

// bundle lists the mids of the sections that are chosen.
func bundle(offer *sdp.Offer, chosen []choice) (mids []string) {
	for _, mid := range offer.Bundle {
		if slices.ContainsFunc(chosen, func(c choice) bool { return c.section.Mid == mid }) {
			mids = append(mids, mid)
		}
	}
	return mids
}

// restartAnswer is what all answers to a restart of the session have in common.
func restartAnswer(offer *sdp.Offer, chosen []choice) sdp.RestartAnswer {
	var r sdp.RestartAnswer
	if offer.Grouped {
		r.Bundle = bundle(offer, chosen)
	}
	tagged := &offer.Sections[bundleTag(offer, chosen)]
	r.Kind = tagged.Kind
	if tagged.Named {
		r.Mid = tagged.Mid
	}
	return r
}

// sessionNumber makes the id of the o= line from a user name fragment, so that it differs from session to session.
func sessionNumber(ufrag string) uint64 {
	n := uint64(0)
	for _, c := range []byte(ufrag) {
		n = n*31 + uint64(c)
	}
	return n
}

// bundleTag is the index of the section whose transport all others share (RFC 9143 section 7.3.2).
func bundleTag(offer *sdp.Offer, chosen []choice) int {
	for _, mid := range offer.Bundle {
		for _, c := range chosen {
			if c.section.Mid == mid {
				return c.section.Index
			}
		}
	}
	return chosen[0].section.Index
}

func answerSection(a *sdp.Answer, c *choice, l local, tagged bool) {
	s := a.Accept(c.section)
	if c.section.Named {
		s.Attribute("mid", c.section.Mid)
	}
	for _, e := range c.extensions {
		s.Extension(e)
	}
	if c.extension(sdp.URIDescriptor) != 0 {
		s.Attribute("extmap-allow-mixed", "")
	}
	s.Direction(sdp.RecvOnly)
	s.Codec(&c.codec, answeredFormat(c.codec), c.feedback, c.codec.RTX != 0)
	s.Simulcast()
	s.Transport(sdp.Transport{Ufrag: l.ufrag, Password: l.password, Fingerprint: l.fingerprint, Setup: l.setup})
	if tagged {
		s.Candidates(l.addresses, l.tcp)
	}
}

// answeredFormat is a codec's format parameters from the receiver's point of view. max-fs and max-fr bound what a
// receiver can decode (RFC 7741 section 6.1, RFC 9628 section 6), so the broadcaster's own bounds are not ours.
func answeredFormat(c sdp.OfferedCodec) string {
	if c.Name != siaran.VP8 && c.Name != siaran.VP9 {
		return c.FMTP
	}
	parameters := slices.DeleteFunc(strings.Split(c.FMTP, ";"), func(p string) bool {
		name, _, _ := strings.Cut(strings.TrimSpace(p), "=")
		return name == "max-fs" || name == "max-fr"
	})
	return strings.TrimSpace(strings.Join(parameters, ";"))
}
