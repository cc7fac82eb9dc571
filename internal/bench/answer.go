package bench

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/ice/v2"
	pionsdp "github.com/pion/sdp/v3"

	"siaran/internal/sdp"
)

const maxCandidates = 16

// answer is what a viewer needs of the server's answer.
type answer struct {
	remote       credentials
	candidates   []netip.AddrPort // UDP, best first
	fingerprints []sdp.Fingerprint
	active       bool             // the server is the client of DTLS
	video        bool             // the answer has some
	formats      map[uint8]string // payload types and the codecs they stand for, in upper case
}

// parseAnswer reads an answer (RFC 9725 section 4.4.2, draft-ietf-wish-whep section 4.3). Transport attributes may be
// at session level or in the media sections. Those of the first accepted section count.
func parseAnswer(text []byte) (*answer, error) {
	var d pionsdp.SessionDescription
	if err := d.Unmarshal(text); err != nil {
		return nil, fmt.Errorf("the answer is not SDP: %w", err)
	}
	a := &answer{formats: make(map[uint8]string)}
	var transport [][]pionsdp.Attribute
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
	a.active = first(transport, pionsdp.AttrKeyConnectionSetup) == "active"
	for _, attributes := range transport {
		for _, at := range attributes {
			if algorithm, value, ok := strings.Cut(at.Value, " "); ok && at.Key == "fingerprint" {
				a.fingerprints = append(a.fingerprints, sdp.Fingerprint{
					Algorithm: strings.ToLower(algorithm),
					Value:     strings.TrimSpace(value),
				})
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

// accepted reports whether a section is in use. A bundled one may have port 0 if it is bundle-only (RFC 9143 section
// 6), but must not be inactive.
func accepted(m *pionsdp.MediaDescription) bool {
	_, bundleOnly := m.Attribute("bundle-only")
	_, inactive := m.Attribute("inactive")
	return (m.MediaName.Port.Value != 0 || bundleOnly) && !inactive
}

func (a *answer) readFormats(m *pionsdp.MediaDescription) {
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

func first(lists [][]pionsdp.Attribute, key string) string {
	for _, attributes := range lists {
		for _, at := range attributes {
			if at.Key == key {
				return strings.TrimSpace(at.Value)
			}
		}
	}
	return ""
}

// readCandidates returns the UDP candidates of the first component. rankCandidates drops those that are names (mDNS).
func readCandidates(attributes []pionsdp.Attribute) []ice.Candidate {
	var list []ice.Candidate
	for _, at := range attributes {
		if at.Key != pionsdp.AttrKeyCandidate || len(list) == maxCandidates {
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

// rankCandidates sorts by the server's preference, and leaves out duplicates and unusable addresses.
func rankCandidates(candidates []ice.Candidate) []netip.AddrPort {
	slices.SortStableFunc(candidates, func(a, b ice.Candidate) int {
		return int(int64(b.Priority()) - int64(a.Priority()))
	})
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
