package ingest

import (
	"fmt"
	"slices"
	"strings"

	"siaran"
	"siaran/internal/sdp"
)

// The header extensions that the server uses.
const (
	uriMid         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	uriRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
)

var (
	// H264 first, because every viewer can decode it; VP8 next, for the same reason.
	videoCodecs = []siaran.CodecName{siaran.H264, siaran.VP8, siaran.VP9, siaran.AV1, siaran.H265}
	// Two channels first, because few viewers offer more.
	audioCodecs    = []siaran.CodecName{siaran.Opus, siaran.MultiOpus, siaran.G722, siaran.PCMU, siaran.PCMA}
	understoodURIs = []string{uriMid, uriRID, uriRepairedRID, sdp.URINumber, sdp.URIDescriptor}
	// Codecs whose payloads do not say as much of their layers. VP8 and VP9 do, and Chromium leaves picture ids and
	// temporal layers out of VP8 when it describes them elsewhere.
	describedCodecs    = []siaran.CodecName{siaran.H264, siaran.H265, siaran.AV1}
	understoodFeedback = []string{"nack", "nack pli", "ccm fir", "transport-cc"}
)

// choice is what is accepted of one section of an offer.
type choice struct {
	section    *sdp.Section
	codec      sdp.OfferedCodec
	feedback   []string // the supported kinds, in the order offered
	extensions []sdp.Extension
}

// choose accepts every audio and video section of the offer, with one codec each, or fails with ErrUnacceptable and
// says why.
func choose(offer *sdp.Offer) ([]choice, error) {
	var chosen []choice
	taken := make(map[siaran.Kind]bool)
	for i := range offer.Sections {
		s := &offer.Sections[i]
		if s.Rejected || s.Kind == siaran.KindOther {
			continue
		}
		if s.Direction != sdp.SendOnly && s.Direction != sdp.SendRecv {
			return nil, refuse(s, "it is %s; a broadcaster's sections are sendonly", s.Direction)
		}
		if taken[s.Kind] {
			return nil, refuse(s, "a broadcast has only one %s track", s.Kind)
		}
		taken[s.Kind] = true
		if !slices.Contains(offer.Bundle, s.Mid) {
			return nil, refuse(s, "it is not in the BUNDLE group")
		}
		c, err := chooseSection(s)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, c)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: it offers neither audio nor video", siaran.ErrUnacceptable)
	}
	return chosen, nil
}

// checkLayers refuses more simulcast layers than a broadcast may have.
func checkLayers(chosen []choice, most int) error {
	for _, c := range chosen {
		if len(c.section.RIDs) > most {
			return refuse(c.section, "it has %d simulcast layers; this server accepts at most %d",
				len(c.section.RIDs), most)
		}
	}
	return nil
}

func chooseSection(s *sdp.Section) (choice, error) {
	order := audioCodecs
	if s.Kind == siaran.KindVideo {
		order = videoCodecs
	}
	codec, found := bestCodec(s.Codecs, order)
	if !found {
		names := make([]string, len(order))
		for i, n := range order {
			names[i] = string(n)
		}
		return choice{}, refuse(s, "none of its codecs is supported; offer one of %s", strings.Join(names, ", "))
	}
	c := choice{section: s, codec: codec}
	for _, f := range codec.Feedback {
		if slices.Contains(understoodFeedback, f) {
			c.feedback = append(c.feedback, f)
		}
	}
	for _, e := range s.Extensions {
		sent := e.Direction == "" || e.Direction == sdp.SendOnly || e.Direction == sdp.SendRecv
		if !sent || !slices.Contains(understoodURIs, e.URI) || c.extension(e.URI) != 0 {
			continue
		}
		if e.URI == sdp.URIDescriptor && !c.describable() || e.URI == sdp.URINumber && !c.has("transport-cc") ||
			(e.URI == uriRID || e.URI == uriRepairedRID) && len(s.RIDs) == 0 {
			continue
		}
		c.extensions = append(c.extensions, e)
	}
	if len(s.RIDs) > 1 && c.extension(uriRID) == 0 {
		return choice{}, refuse(s, "simulcast needs the header extension %s", uriRID)
	}
	return c, nil
}

// bestCodec returns the offered codec that comes first in the order of preference. Among payload types of the same
// codec it prefers what most viewers can decode, then the order of the offer.
func bestCodec(offered []sdp.OfferedCodec, order []siaran.CodecName) (sdp.OfferedCodec, bool) {
	for _, name := range order {
		best, bestRank := -1, 0
		for i, c := range offered {
			if c.Name != name {
				continue
			}
			if rank := profileRank(c.Codec); best < 0 || rank < bestRank {
				best, bestRank = i, rank
			}
		}
		if best >= 0 {
			return offered[best], true
		}
	}
	return sdp.OfferedCodec{}, false
}

// profileRank is lower when more viewers can decode what the format parameters announce.
func profileRank(c siaran.Codec) int {
	switch c.Name {
	case siaran.H264: // RFC 6184 section 8.1
		rank := 2
		if profile := sdp.Parameter(c.FMTP, "profile-level-id"); strings.HasPrefix(profile, "42") && len(profile) > 2 {
			rank = 1
			if strings.ContainsRune("4567cdefCDEF", rune(profile[2])) { // constraint_set1: constrained baseline
				rank = 0
			}
		}
		if sdp.Parameter(c.FMTP, "packetization-mode") != "1" {
			rank += 10
		}
		return rank
	case siaran.VP9: // RFC 9628 section 6.1
		if p := sdp.Parameter(c.FMTP, "profile-id"); p != "" && p != "0" {
			return 1
		}
	case siaran.AV1:
		if p := sdp.Parameter(c.FMTP, "profile"); p != "" && p != "0" {
			return 1
		}
	case siaran.H265: // RFC 7798 section 7.1
		if p := sdp.Parameter(c.FMTP, "profile-id"); p != "" && p != "1" {
			return 1
		}
	}
	return 0
}

// extension returns the id of an accepted header extension, else 0.
func (c *choice) extension(uri string) uint8 {
	for _, e := range c.extensions {
		if e.URI == uri {
			return uint8(e.ID)
		}
	}
	return 0
}

// describable reports whether a dependency descriptor is of use. One with a structure is longer than 16 bytes.
func (c *choice) describable() bool {
	return c.section.Mixed && slices.Contains(describedCodecs, c.codec.Name)
}

// has reports whether a kind of feedback is negotiated.
func (c *choice) has(feedback string) bool { return slices.Contains(c.feedback, feedback) }

// spec describes the track to the hub.
func (c *choice) spec() siaran.TrackSpec {
	spec := siaran.TrackSpec{Codec: c.codec.Codec}
	for _, r := range c.section.RIDs {
		spec.RIDs = append(spec.RIDs, r.ID)
	}
	return spec
}

func refuse(s *sdp.Section, format string, args ...any) error {
	reason := fmt.Sprintf(format, args...)
	return fmt.Errorf("%w: section %d (%s, mid %q): %s", siaran.ErrUnacceptable, s.Index, s.Kind, s.Mid, reason)
}
