package ingest

import (
	"fmt"
	"slices"
	"strings"

	"siaran"
)

// The header extensions that are made use of.
const (
	uriMid         = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID         = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
	uriRepairedRID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
	uriTransportCC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
)

var (
	// H264 first, because every viewer can decode it; VP8 next, for the same reason.
	defaultVideoCodecs = []siaran.CodecName{siaran.H264, siaran.VP8, siaran.VP9, siaran.AV1, siaran.H265}
	audioCodecs        = []siaran.CodecName{siaran.Opus, siaran.G722, siaran.PCMU, siaran.PCMA}
	understoodURIs     = []string{uriMid, uriRID, uriRepairedRID, uriTransportCC}
	understoodFeedback = []string{"nack", "nack pli", "ccm fir", "transport-cc"}
)

// choice is what is taken of one section of an offer.
type choice struct {
	section    *siaran.Section
	codec      siaran.OfferedCodec
	feedback   []string // the offered kinds that are understood, in the order offered
	extensions []siaran.Extension
}

// choose takes every audio and video section of the offer, with one codec each, or refuses the
// offer with ErrUnacceptable and says why. video is the order of preference.
func choose(offer *siaran.Offer, video []siaran.CodecName) ([]choice, error) {
	var chosen []choice
	taken := make(map[siaran.Kind]bool)
	for i := range offer.Sections {
		s := &offer.Sections[i]
		if s.Rejected || s.Kind == siaran.KindOther {
			continue
		}
		if s.Direction != siaran.SendOnly && s.Direction != siaran.SendRecv {
			return nil, refuse(s, "it is %s, and a broadcaster sends", s.Direction)
		}
		if taken[s.Kind] {
			return nil, refuse(s, "a broadcast has one %s track", s.Kind)
		}
		taken[s.Kind] = true
		if !slices.Contains(offer.Bundle, s.Mid) {
			return nil, refuse(s, "it is not in the BUNDLE group")
		}
		c, err := chooseSection(s, video)
		if err != nil {
			return nil, err
		}
		chosen = append(chosen, c)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%w: there is neither audio nor video in it", siaran.ErrUnacceptable)
	}
	return chosen, nil
}

func chooseSection(s *siaran.Section, video []siaran.CodecName) (choice, error) {
	order := audioCodecs
	if s.Kind == siaran.KindVideo {
		order = video
	}
	codec, found := bestCodec(s.Codecs, order)
	if !found {
		names := make([]string, len(order))
		for i, n := range order {
			names[i] = string(n)
		}
		return choice{}, refuse(s, "none of its codecs can be taken; offer one of %s", strings.Join(names, ", "))
	}
	c := choice{section: s, codec: codec}
	for _, f := range codec.Feedback {
		if slices.Contains(understoodFeedback, f) {
			c.feedback = append(c.feedback, f)
		}
	}
	for _, e := range s.Extensions {
		sent := e.Direction == "" || e.Direction == siaran.SendOnly || e.Direction == siaran.SendRecv
		if !sent || !slices.Contains(understoodURIs, e.URI) || c.extension(e.URI) != 0 {
			continue
		}
		if e.URI == uriTransportCC && !c.has("transport-cc") || (e.URI == uriRID || e.URI == uriRepairedRID) && len(s.RIDs) == 0 {
			continue
		}
		c.extensions = append(c.extensions, e)
	}
	if len(s.RIDs) > 1 && c.extension(uriRID) == 0 {
		return choice{}, refuse(s, "simulcast needs the header extension %s", uriRID)
	}
	return c, nil
}

// bestCodec is the first in the order of preference. Among payload types of one codec those come
// first that most viewers can decode; then the offer's order counts.
func bestCodec(offered []siaran.OfferedCodec, order []siaran.CodecName) (siaran.OfferedCodec, bool) {
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
	return siaran.OfferedCodec{}, false
}

// profileRank is lower the more viewers can decode what the format parameters announce.
func profileRank(c siaran.Codec) int {
	switch c.Name {
	case siaran.H264: // RFC 6184 section 8.1
		rank := 2
		if profile := parameter(c.FMTP, "profile-level-id"); strings.HasPrefix(profile, "42") && len(profile) > 2 {
			rank = 1
			if strings.ContainsRune("4567cdefCDEF", rune(profile[2])) { // constraint_set1: constrained baseline
				rank = 0
			}
		}
		if parameter(c.FMTP, "packetization-mode") != "1" {
			rank += 10
		}
		return rank
	case siaran.VP9: // RFC 9628 section 6.1
		if p := parameter(c.FMTP, "profile-id"); p != "" && p != "0" {
			return 1
		}
	case siaran.AV1, siaran.H265:
		if p := parameter(c.FMTP, "profile"); p != "" && p != "0" {
			return 1
		}
	}
	return 0
}

// parameter is one value of format parameters such as "a=1;b=2", empty when it is not there.
func parameter(fmtp, key string) string {
	for pair := range strings.SplitSeq(fmtp, ";") {
		if name, value, _ := strings.Cut(pair, "="); strings.EqualFold(strings.TrimSpace(name), key) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// extension is the offered id of a header extension that is taken, else 0.
func (c *choice) extension(uri string) uint8 {
	for _, e := range c.extensions {
		if e.URI == uri {
			return uint8(e.ID)
		}
	}
	return 0
}

// has tells whether a kind of feedback is negotiated.
func (c *choice) has(feedback string) bool { return slices.Contains(c.feedback, feedback) }

// spec is what the hub is told of the track.
func (c *choice) spec() siaran.TrackSpec {
	spec := siaran.TrackSpec{Codec: c.codec.Codec}
	for _, r := range c.section.RIDs {
		spec.RIDs = append(spec.RIDs, r.ID)
	}
	return spec
}

func refuse(s *siaran.Section, format string, args ...any) error {
	return fmt.Errorf("%w: section %d (%s, mid %q): %s", siaran.ErrUnacceptable, s.Index, s.Kind, s.Mid, fmt.Sprintf(format, args...))
}
