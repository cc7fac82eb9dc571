package siaran

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pion/sdp/v3"
)

// Bounds of what a client may send. Real offers have some 7 KiB, 3 sections and 200 attributes a section.
const (
	maxOfferBytes    = 64 << 10
	maxSections      = 32
	maxAttributes    = 1024 // at session level and in each section
	maxCandidates    = 64
	maxFingerprints  = 8
	maxExtensions    = 64 // a section
	maxFeedback      = 16 // a codec
	maxSSRCs         = 64 // a section
	maxSimulcast     = 8  // layers
	maxNameLength    = 64 // mid and rid
	maxCandidateText = 512
)

// Direction is the direction of a section, as the offerer sees it.
type Direction string

// The directions of RFC 8866 section 6.7.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Offer is an SDP offer that is safe to negotiate: its syntax and bounds have been checked,
// its names folded, and what stands at session level has been brought down to the sections.
type Offer struct {
	Sections []Section // all of them, in order, also those that are never negotiated
	Bundle   []string  // mids of the BUNDLE group; of a single section without a group, that one (P12)

	// Of the first section that has them, which stands for all (RFC 8843 section 7.3.3, C51).
	Ufrag, Password string
	Fingerprints    []Fingerprint
	Setup           string   // actpass, active or passive
	Candidates      []string // values of a=candidate, of component 1, in order
	Trickle         bool     // the offerer can trickle (RFC 8840)

	Description *sdp.SessionDescription // as parsed; for reading only
}

// Section is one m-section of an offer.
type Section struct {
	Index       int
	Kind        Kind
	Mid         string
	Rejected    bool // port 0 without bundle-only
	Direction   Direction
	Codecs      []OfferedCodec // of Kind, in the order of preference
	Extensions  []Extension
	RIDs        []RID // simulcast layers to be sent, in the order of a=simulcast
	RTCPMux     bool
	RTCPReduced bool   // a=rtcp-rsize
	Stream      string // MediaStream id of a=msid, or of the a=ssrc lines
	SSRCs       []uint32

	bundleOnly bool
}

// OfferedCodec is a payload type and what the offer says about it.
type OfferedCodec struct {
	PayloadType uint8
	Codec
	Feedback []string // values of a=rtcp-fb, such as "nack pli"
	RTX      uint8    // payload type of its retransmissions, 0 when there is none
}

// Extension is an RTP header extension.
type Extension struct {
	ID        int
	URI       string
	Direction Direction // empty when not restricted
}

// RID is a simulcast layer (RFC 8851, 8853).
type RID struct {
	ID     string
	Paused bool
}

// ParseOffer reads an SDP offer (RFC 8866, 9143). It fails with ErrMalformedOffer when it cannot
// be read and ErrUnacceptable when it can but is not to be negotiated; both say what is wrong.
// Whether the directions suit is for the caller to say.
func ParseOffer(text []byte) (*Offer, error) {
	desc, err := parseSDP(text)
	if err != nil {
		return nil, err
	}
	if len(desc.MediaDescriptions) == 0 {
		return nil, malformed("there is no m= section")
	}
	if len(desc.MediaDescriptions) > maxSections {
		return nil, malformed("more than %d m= sections", maxSections)
	}
	o := &Offer{Description: desc, Sections: make([]Section, len(desc.MediaDescriptions))}
	session := attributes(desc.Attributes)
	for i, media := range desc.MediaDescriptions {
		if o.Sections[i], err = parseSection(i, media, session); err != nil {
			return nil, fmt.Errorf("%w (m= section %d)", err, i)
		}
	}
	if err := o.nameSections(); err != nil {
		return nil, err
	}
	if err := o.bundle(session); err != nil {
		return nil, err
	}
	if err := o.checkTracks(); err != nil {
		return nil, err
	}
	if err := o.takeTransport(session); err != nil {
		return nil, err
	}
	return o, nil
}

// parseSDP has the library read the syntax. It has panicked on hostile bytes before, which must not end the server.
func parseSDP(text []byte) (desc *sdp.SessionDescription, err error) {
	if len(text) == 0 {
		return nil, malformed("it is empty")
	}
	if len(text) > maxOfferBytes {
		return nil, malformed("it is larger than %d bytes", maxOfferBytes)
	}
	// A carriage return of its own would end a line for some readers of what is answered with it, and not for others.
	strayCR := bytes.Count(text, []byte("\r")) != bytes.Count(text, []byte("\r\n"))
	if strayCR || !utf8.Valid(text) || strings.ContainsFunc(string(text), isControl) {
		return nil, malformed("it is not text")
	}
	defer func() {
		if recover() != nil {
			desc, err = nil, malformed("it is not SDP")
		}
	}()
	if text[len(text)-1] != '\n' {
		return nil, malformed("its last line has no end: it was cut off, or trimmed")
	}
	desc = new(sdp.SessionDescription)
	if err := desc.Unmarshal(text); err != nil {
		return nil, malformed("%.200s", err.Error())
	}
	if len(desc.Attributes) > maxAttributes {
		return nil, malformed("more than %d attributes at session level", maxAttributes)
	}
	return desc, nil
}

func isControl(r rune) bool { return r < ' ' && r != '\r' && r != '\n' && r != '\t' || r == 0x7f }

// nameSections sees to it that every section has a mid of its own.
func (o *Offer) nameSections() error {
	seen := make(map[string]bool)
	for i := range o.Sections {
		s := &o.Sections[i]
		if s.Mid == "" && len(o.Sections) == 1 {
			s.Mid = "0"
		}
		if s.Mid != "" && seen[s.Mid] {
			return malformed("two m= sections have the mid %q", s.Mid)
		}
		seen[s.Mid] = true
	}
	return nil
}

// bundle reads the BUNDLE group (RFC 9143). Mids that no section has are no error: FFmpeg
// always writes "0 1". A single section needs no group.
func (o *Offer) bundle(session attributes) error {
	group, grouped := "", false
	for value := range session.all("group") {
		if kind, mids, _ := strings.Cut(value, " "); kind == "BUNDLE" {
			group, grouped = mids, true
			break
		}
	}
	seen := make(map[string]bool)
	for _, mid := range strings.Fields(group) {
		if s := o.section(mid); s != nil && !s.Rejected && !seen[mid] {
			seen[mid] = true
			o.Bundle = append(o.Bundle, mid)
		}
	}
	tracks := o.tracks()
	if len(tracks) == 0 {
		return unacceptable("it offers neither audio nor video")
	}
	if !grouped && len(tracks) == 1 && tracks[0].Mid != "" {
		o.Bundle = []string{tracks[0].Mid}
		seen[tracks[0].Mid] = true
	}
	for _, s := range tracks {
		if s.Mid == "" || !seen[s.Mid] {
			return unacceptable("all audio and video must be in one BUNDLE group; use the bundle policy max-bundle")
		}
	}
	return nil
}

// checkTracks holds what RFC 9725 asks of the sections: RTCP on the same port, and at most
// one audio and one video track, of one MediaStream.
func (o *Offer) checkTracks() error {
	mux := slices.ContainsFunc(o.tracks(), func(s *Section) bool { return s.RTCPMux })
	sent := make(map[Kind]bool)
	stream := ""
	for _, s := range o.tracks() {
		s.RTCPMux = s.RTCPMux || s.bundleOnly && mux // it may leave out what it shares (RFC 9143 section 7.1.3)
		if !s.RTCPMux {
			return unacceptable("m= section %d has no a=rtcp-mux", s.Index)
		}
		if s.Direction != SendOnly && s.Direction != SendRecv {
			continue
		}
		if sent[s.Kind] {
			return unacceptable("it offers more than one %s track", s.Kind)
		}
		sent[s.Kind] = true
		if stream != "" && s.Stream != "" && s.Stream != stream {
			return unacceptable("its tracks are of more than one MediaStream")
		}
		stream = cmp.Or(stream, s.Stream)
	}
	return nil
}

// tracks are the sections that can be negotiated.
func (o *Offer) tracks() []*Section {
	var list []*Section
	for i := range o.Sections {
		if s := &o.Sections[i]; s.Kind != KindOther && !s.Rejected {
			list = append(list, s)
		}
	}
	return list
}

// section is the one with this mid, nil when there is none.
func (o *Offer) section(mid string) *Section {
	for i := range o.Sections {
		if o.Sections[i].Mid == mid {
			return &o.Sections[i]
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformedOffer, fmt.Sprintf(format, args...))
}

func unacceptable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnacceptable, fmt.Sprintf(format, args...))
}
