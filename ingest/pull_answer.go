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
func readAnswer(text []byte, offered []format) (*sdp.Offer, []agreement, error) {
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte("<")) || bytes.HasPrefix(trimmed, []byte("{")) {
		return nil, nil, errors.New("it answers with a page, not with SDP: is it a WHEP endpoint?")
	}
	answer, err := sdp.ParseOffer(text)
	if err != nil {
		return nil, nil, fmt.Errorf("its answer: %s", ourErrors.Replace(err.Error()))
	}
	if n := len(answer.Sections); n != len(pulledKinds) {
		return nil, nil, fmt.Errorf("its answer has %d m= sections, the offer has %d", n, len(pulledKinds))
	}
	var list []agreement
	for i := range answer.Sections {
		s := &answer.Sections[i]
		if s.Kind != pulledKinds[i] {
			return nil, nil, fmt.Errorf("its answer has other m= sections than the offer")
		}
		if s.Rejected || s.Direction == sdp.Inactive || s.Direction == sdp.RecvOnly {
			continue
		}
		a := agree(s, offered)
		if len(a) == 0 {
			return nil, nil, fmt.Errorf("its answer has no %s codec that was offered", s.Kind)
		}
		list = append(list, a)
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

// agree lists what an accepted section may bring: payload types that were offered, with the names they were offered by.
func agree(s *sdp.Section, offered []format) (a agreement) {
	s.RIDs = nil // several layers were not asked for
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
			if slices.ContainsFunc(pulledExtensions, ours) && (e.URI != uriTransportCC || made.has("transport-cc")) {
				made.extensions = append(made.extensions, e)
			}
		}
		a = append(a, made)
	}
	return a
}
