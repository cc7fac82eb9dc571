package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v2"
	"github.com/pion/sdp/v3"

	"siaran"
)

const maxCandidates = 16

// answer is what a viewer needs of the server's answer.
type answer struct {
	remote       credentials
	candidates   []netip.AddrPort // UDP, best first
	fingerprints []siaran.Fingerprint
	active       bool             // the server is the client of DTLS
	video        bool             // there is any
	formats      map[uint8]string // payload types and the codecs they stand for, in upper case
}

// parseAnswer reads an answer (RFC 9725 section 4.4.2, draft-ietf-wish-whep section 4.3). Transport attributes
// may stand in the session's part or in the sections; the first section that is not refused counts.
func parseAnswer(text []byte) (*answer, error) {
	var d sdp.SessionDescription
	if err := d.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("the answer is no SDP: %w", err)
	}
	a := &answer{formats: make(map[uint8]string)}
	var transport [][]sdp.Attribute
	var candidates []ice.Candidate
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "audio" && m.MediaName.Media != "video" || !accepted(m) {
			continue
		}
		transport = append(transport, m.Attributes)
		a.video = a.video || m.MediaName.Media == "video"
		a.readFormats(m)
		candidates = append(candidates, readCandidates(m.Attributes)...)
	}
	if len(transport) == 0 {
		return nil, errors.New("the answer refuses both audio and video")
	}
	candidates = append(candidates, readCandidates(d.Attributes)...)
	a.candidates = rankCandidates(candidates)
	transport = append(transport, d.Attributes)
	a.remote.ufrag = first(transport, "ice-ufrag")
	a.remote.pwd = first(transport, "ice-pwd")
	a.active = first(transport, sdp.AttrKeyConnectionSetup) == "active"
	for _, attributes := range transport {
		for _, at := range attributes {
			if algorithm, value, ok := strings.Cut(at.Value, " "); ok && at.Key == "fingerprint" {
				a.fingerprints = append(a.fingerprints, siaran.Fingerprint{Algorithm: strings.ToLower(algorithm), Value: strings.TrimSpace(value)})
			}
		}
	}
	switch {
	case a.remote.ufrag == "" || a.remote.pwd == "":
		return nil, errors.New("the answer has no ICE credentials")
	case len(a.fingerprints) == 0:
		return nil, errors.New("the answer has no fingerprint")
	case len(a.candidates) == 0:
		return nil, errors.New("the answer has no UDP candidate")
	}
	return a, nil
}

// accepted tells whether a section is in use. A bundled one may have port 0 when it is
// bundle-only (RFC 9143 section 6), and must not be inactive.
func accepted(m *sdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	_, inactive := m.Attribute("inactive")
	return (m.MediaName.Port.Value != 0 || bundleOnly) && !inactive
}

func (a *answer) readFormats(m *sdp.MediaDescription) {
	for _, at := range m.Attributes {
		if at.Key != "rtpmap" || len(a.formats) >= 64 {
			continue
		}
		number, codec, _ := strings.Cut(at.Value, " ")
		name, _, _ := strings.Cut(codec, "/")
		if pt, err := strconv.ParseUint(number, 10, 7); err == nil && slices.Contains(m.MediaName.Formats, number) {
			a.formats[uint8(pt)] = strings.ToUpper(strings.TrimSpace(name))
		}
	}
}

func first(lists [][]sdp.Attribute, key string) string {
	for _, attributes := range lists {
		for _, at := range attributes {
			if at.Key == key {
				return strings.TrimSpace(at.Value)
			}
		}
	}
	return ""
}

// readCandidates takes the UDP candidates of the first component; names (mDNS) are left out.
func readCandidates(attributes []sdp.Attribute) []ice.Candidate {
	var list []ice.Candidate
	for _, at := range attributes {
		if at.Key != sdp.AttrKeyCandidate || len(list) == maxCandidates {
			continue
		}
		c, err := ice.UnmarshalCandidate(at.Value)
		if err != nil || !c.NetworkType().IsUDP() || c.Component() != ice.ComponentRTP {
			continue
		}
		list = append(list, c)
	}
	return list
}

// rankCandidates sorts by what the server prefers and leaves out repetitions.
func rankCandidates(candidates []ice.Candidate) []netip.AddrPort {
	slices.SortStableFunc(candidates, func(a, b ice.Candidate) int { return int(int64(b.Priority()) - int64(a.Priority())) })
	var list []netip.AddrPort
	for _, c := range candidates {
		ip, err := netip.ParseAddr(c.Address())
		if err != nil || c.Port() < 1 || c.Port() > 65535 || ip.IsUnspecified() || ip.IsMulticast() {
			continue
		}
		at := netip.AddrPortFrom(ip.Unmap().WithZone(""), uint16(c.Port()))
		if !slices.Contains(list, at) && len(list) < maxCandidates {
			list = append(list, at)
		}
	}
	return list
}
