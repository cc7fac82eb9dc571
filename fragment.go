package siaran

import (
	"bytes"
	"slices"
	"strings"
)

const (
	maxFragmentBytes      = 16 << 10
	maxFragmentCandidates = 32
)

// Fragment is a piece of SDP that a client sends during a session (RFC 8840 section 9): more
// candidates, or the credentials of an ICE restart.
type Fragment struct {
	Ufrag, Password string   // both, or both empty
	Candidates      []string // values of a=candidate, of component 1, in order; at most 32, the rest is left out
	End             bool     // no more candidates will come (a=end-of-candidates)
}

// fragmentHead makes a whole description of a fragment, so that the SDP library can read it.
const fragmentHead = "v=0\r\no=- 0 0 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"

// ParseFragment reads a body of type application/trickle-ice-sdpfrag. Clients differ: credentials
// may stand at session or media level, and there may be any number of m-sections, of which the
// first with credentials counts. Candidates that cannot be read, or that belong to other credentials, are left
// out. It fails with ErrMalformedOffer when the text is no fragment at all.
func ParseFragment(text []byte) (*Fragment, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, malformed("the ICE fragment is empty")
	}
	if len(text) > maxFragmentBytes {
		return nil, malformed("the ICE fragment is larger than %d bytes", maxFragmentBytes)
	}
	whole := append([]byte(fragmentHead), bytes.TrimSpace(text)...)
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
	for _, section := range sections[1:] {
		if f.Ufrag != "" {
			break
		}
		if f.Ufrag, f.Password, err = credentials(section, session); err != nil {
			return nil, err
		}
	}
	if f.Ufrag == "" {
		if f.Ufrag, f.Password, err = credentials(session); err != nil {
			return nil, err
		}
	}
	for _, section := range sections {
		f.take(section, session)
	}
	return f, nil
}

// take adds the candidates of a section, unless they are of another ICE session.
func (f *Fragment) take(section, session attributes) {
	f.End = f.End || section.has("end-of-candidates")
	if ufrag, there := nearest("ice-ufrag", section, session); there && ufrag != f.Ufrag {
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

// candidateUfrag is the user fragment that browsers add to a candidate, empty when there is none.
func candidateUfrag(candidate string) string {
	fields := strings.Fields(candidate)
	for i := 8; i+1 < len(fields); i += 2 {
		if fields[i] == "ufrag" {
			return fields[i+1]
		}
	}
	return ""
}
