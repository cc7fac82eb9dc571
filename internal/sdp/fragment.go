package sdp

import (
	"bytes"
	"slices"
	"strings"
)

const (
	maxFragmentBytes      = 16 << 10
	maxFragmentCandidates = 32
)

// Fragment is a piece of SDP that a client sends during a session (RFC 8840 section 9): further candidates, or the
// credentials of an ICE restart.
type Fragment struct {
	Ufrag, Password string   // both, or both empty
	Candidates      []string // values of a=candidate for component 1, in order; the first 32
	End             bool     // there will be no more candidates (a=end-of-candidates)
}

// fragmentHead makes a fragment a complete description, which the SDP library can parse.
const fragmentHead = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

// ParseFragment reads a body of type application/trickle-ice-sdpfrag. Clients differ: credentials may be at session
// or media level, and there may be any number of m= sections, of which the first with credentials counts. Invalid
// candidates, and those that belong to other credentials, are left out. It fails with ErrMalformedOffer when the body
// is not a fragment.
func ParseFragment(body []byte) (*Fragment, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, malformed("the ICE fragment is empty")
	}
	if len(body) > maxFragmentBytes {
		return nil, malformed("the ICE fragment is larger than %d bytes", maxFragmentBytes)
	}
	whole := append([]byte(fragmentHead), bytes.TrimSpace(body)...)
	desc, err := parseSDP(append(whole, "\r\n"...))
	if err != nil {
		return nil, err
	}
	session := attributes(desc.Attributes)
	sections := []attributes{session}
	for _, media := range desc.MediaDescriptions {
		sections = append(sections, attributes(media.Attributes))
	}
	f := new(Fragment)
	ufrag, password := nearest("ice-ufrag", session, text{}), nearest("ice-pwd", session, text{})
	for _, section := range append(sections[1:], attributes(nil)) { // nil: without sections only the session level counts
		if f.Ufrag != "" {
			break
		}
		if f.Ufrag, f.Password, err = credentials(section, ufrag, password); err != nil {
			return nil, err
		}
	}
	for _, section := range sections {
		f.take(section, ufrag)
	}
	return f, nil
}

// take adds the candidates of a section, unless they belong to another ICE session.
func (f *Fragment) take(section attributes, session text) {
	f.End = f.End || section.has("end-of-candidates")
	if ufrag := nearest("ice-ufrag", section, session); ufrag.there && ufrag.value != f.Ufrag {
		return
	}
	for _, c := range candidates(section, maxFragmentCandidates) {
		ufrag := candidateUfrag(c)
		other := ufrag != "" && f.Ufrag != "" && ufrag != f.Ufrag
		if !other && len(f.Candidates) < maxFragmentCandidates && !slices.Contains(f.Candidates, c) {
			f.Candidates = append(f.Candidates, c)
		}
	}
}

// candidateUfrag returns the user name fragment that browsers add to a candidate, empty when there is none.
func candidateUfrag(candidate string) string {
	fields := strings.Fields(candidate)
	for i := 8; i+1 < len(fields); i += 2 {
		if fields[i] == "ufrag" {
			return fields[i+1]
		}
	}
	return ""
}
