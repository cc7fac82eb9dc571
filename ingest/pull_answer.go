package ingest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"siaran"
	"siaran/internal/sdp"
)

// agreement is what a parent's answer leaves of one section of the offer: any of the choices may come. Most answers
// leave one; some servers repeat all codecs of the offer that they know, whichever they send.
type agreement []choice

// readAnswer reads the answer to a pull's offer. Its errors say what is wrong with the answer, and may be shown.
func readAnswer(text []byte, asked []pulledSection, offered []format) (*sdp.Offer, []agreement, error) {
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("<")) || bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, nil, errors.New("it answers with a page, not with SDP: is it a WHEP endpoint?")
	}
	answer, err := sdp.ParseOffer(text)
	if err != nil {
		return nil, nil, fmt.Errorf("its answer: %s", ourErrors.Replace(err.Error()))
	}
	if n := len(answer.Sections); n != len(asked) {
		return nil, nil, fmt.Errorf("its answer has %d m= sections, the offer has %d", n, len(asked))
	}
	var list []agreement
	for i := range answer.Sections {
		s := &answer.Sections[i]
		if s.Kind != asked[i].kind {
			return nil, nil, fmt.Errorf("its answer has other m= sections than the offer")
		}
		if s.Rejected || s.Direction == sdp.Inactive || s.Direction == sdp.RecvOnly {
			continue
		}
		a := agree(s, asked[i].rid, offered)
		if len(a) == 0 {
			return nil, nil, fmt.Errorf("its answer has no %s codec that was offered", s.Kind)
		}
		if fitsWith(a, list) {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil, nil, errors.New("its answer sends neither audio nor video")
	}
	if _, err := fingerprint(answer.Fingerprints); err != nil {
		return nil, nil, errors.New("its answer has no a=fingerprint of SHA-256 or better")
	}
	return answer, list, nil
}

// ourErrors takes from the errors of the parser what is meant for those who send offers.
var ourErrors = strings.NewReplacer(
	siaran.ErrMalformedOffer.Error()+": ", "", siaran.ErrUnacceptable.Error()+": ", "",
	"it offers neither audio nor video", "it refuses both audio and video",
)

// fitsWith reports whether a section is a track of its own, or another layer of the video before it: then both must say
// which they are, and have one codec.
func fitsWith(a agreement, list []agreement) bool {
	for _, other := range list {
		if kind := a[0].section.Kind; other[0].section.Kind != kind {
			continue
		}
		named := len(a[0].section.RIDs) > 0 && len(other[0].section.RIDs) > 0
		if !named || len(a) > 1 || len(other) > 1 || !a[0].codec.Same(other[0].codec.Codec) {
			return false
		}
	}
	return true
}

// agree lists what an accepted section may bring: payload types that were offered, with the names they were offered by.
// rid is the layer that was asked for, if the parent says that this is it.
func agree(s *sdp.Section, rid string, offered []format) (a agreement) {
	s.RIDs = nil // several layers in one section were not asked for
	if rid != "" && s.Layer == rid {
		s.RIDs = []sdp.RID{{ID: rid}}
	}
	for _, c := range s.Codecs {
		at := slices.IndexFunc(offered, func(f format) bool { return f.pt == c.PayloadType && f.codec == c.Name })
		if at < 0 {
			continue
		}
		c.FMTP = cmp.Or(c.FMTP, offered[at].parameters)
		if c.RTX != offered[at].rtx {
			c.RTX = 0
		}
		made := choice{section: s, codec: c}
		for _, f := range c.Feedback {
			if slices.Contains(pulledFeedback, f) {
				made.feedback = append(made.feedback, f)
			}
		}
		for _, e := range s.Extensions {
			ours := func(o sdp.Extension) bool { return o.ID == e.ID && o.URI == e.URI }
			if slices.ContainsFunc(pulledExtensions, ours) && (e.URI != sdp.URINumber || made.has("transport-cc")) {
				made.extensions = append(made.extensions, e)
			}
		}
		a = append(a, made)
	}
	return a
}
