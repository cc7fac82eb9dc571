package sdp

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pion/sdp/v3"

	"siaran"
)

// Bounds on what a client may send. Real offers have about 7 KiB, 3 sections and 200 attributes per section.
const (
	maxOfferBytes    = 64 << 10
	maxSections      = 32
	maxAttributes    = 1024 // at session level and in each section
	maxCandidates    = 64
	maxFingerprints  = 8
	maxExtensions    = 64 // at session level and in each section
	maxCodecs        = 64 // per section
	maxFeedback      = 16 // per codec, and for all codecs of a section
	maxRIDs          = 32 // per section
	maxBundled       = 64 // mids of the BUNDLE group
	maxSSRCs         = 64 // per section
	maxSimulcast     = 8  // layers
	maxNameLength    = 64 // mid and rid
	maxCandidateText = 512
)

// Direction is the direction of a section from the point of view of its writer.
type Direction string

// The directions of RFC 8866 section 6.7.
const (
	SendRecv Direction = "sendrecv"
	SendOnly Direction = "sendonly"
	RecvOnly Direction = "recvonly"
	Inactive Direction = "inactive"
)

// Offer is an SDP offer that is safe to negotiate: its syntax and bounds have been checked, its names folded, and
// attributes at session level applied to the sections.
type Offer struct {
	Sections []Section // all of them, in order, including those that are never negotiated
	Bundle   []string  // mids of the BUNDLE group; without a group, that of the only section
	Grouped  bool      // the offer has a BUNDLE group

	// Of the first section of the bundle that has them; they count for all (RFC 9143 section 7.3.3).
	Ufrag, Password string
	Fingerprints    []Fingerprint
	Setup           string   // actpass, active or passive
	Candidates      []string // values of a=candidate for component 1, in order
	Trickle         bool     // the offerer can trickle (RFC 8840)

	Description *sdp.SessionDescription // as parsed; read only
}

// Section is one m= section of an offer.
type Section struct {
	Index       int
	Kind        siaran.Kind
	Mid         string // "0" for a single section that has none
	Named       bool   // the offer itself has the mid
	Rejected    bool   // port 0 without bundle-only
	Direction   Direction
	Codecs      []OfferedCodec // of this kind, in order of preference
	Extensions  []Extension
	RIDs        []RID  // simulcast layers that are sent, in the order of a=simulcast
	Layer       string // the rid of the one encoding that is sent or asked for here; empty: none is named
	RTCPMux     bool
	RTCPReduced bool   // a=rtcp-rsize
	Mixed       bool   // a=extmap-allow-mixed: header extensions may be longer than 16 bytes (RFC 8285 section 6)
	Stream      string // MediaStream id of a=msid, or of the a=ssrc lines
	SSRCs       []uint32

	bundleOnly bool
}

// OfferedCodec is a payload type with its attributes.
type OfferedCodec struct {
	PayloadType uint8
	siaran.Codec
	Feedback []string // values of a=rtcp-fb such as "nack pli"
	RTX      uint8    // payload type of its retransmissions, 0 for none
}

// Extension is an RTP header extension.
type Extension struct {
	ID        int
	URI       string
	Direction Direction // empty when unrestricted
}

// RID is a simulcast layer (RFC 8851, RFC 8853).
type RID struct {
	ID     string
	Paused bool
}

// ParseOffer reads an SDP offer (RFC 8866, RFC 9143). It fails with ErrMalformedOffer when the text cannot be parsed,
// and with ErrUnacceptable when it can, but must not be negotiated; both say what is wrong. The caller checks the
// directions.
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
	session, err := readSession(desc.Attributes)
	if err != nil {
		return nil, err
	}
	o.Grouped = session.grouped
	for i, media := range desc.MediaDescriptions {
		if o.Sections[i], err = parseSection(i, media, session); err != nil {
			return nil, fmt.Errorf("%w (m= section %d)", err, i)
		}
	}
	if err := o.nameSections(); err != nil {
		return nil, err
	}
	if err := o.bundle(session.group); err != nil {
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

// parseSDP parses the syntax. The library has panicked on hostile bytes before, which must not end the server.
func parseSDP(text []byte) (desc *sdp.SessionDescription, err error) {
	if len(text) == 0 {
		return nil, malformed("it is empty")
	}
	if len(text) > maxOfferBytes {
		return nil, malformed("it is larger than %d bytes", maxOfferBytes)
	}
	// A lone carriage return would end a line for some readers of the answer and not for others.
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
		return nil, malformed("its last line has no line end: it was cut off, or trimmed")
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

// nameSections makes sure that no two sections have the same mid, and gives a single section one.
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

// bundle reads the BUNDLE group (RFC 9143). Mids without a section are no error, because FFmpeg always writes "0 1". A
// single section needs no group.
func (o *Offer) bundle(group string) error {
	seen := make(map[string]bool)
	mids := 0
	for mid := range strings.FieldsSeq(group) {
		if mids++; mids > maxBundled {
			return malformed("more than %d mids in the BUNDLE group", maxBundled)
		}
		if s := o.section(mid); s != nil && !s.Rejected && !seen[mid] {
			seen[mid] = true
			o.Bundle = append(o.Bundle, mid)
		}
	}
	tracks := o.tracks()
	if len(tracks) == 0 {
		return unacceptable("it offers neither audio nor video")
	}
	if !o.Grouped && len(tracks) == 1 && tracks[0].Mid != "" {
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

// checkTracks checks what RFC 9725 requires: RTCP on the same port, and at most one audio and one video track, of the
// same MediaStream. A track may have a section for each of its layers.
func (o *Offer) checkTracks() error {
	mux := slices.ContainsFunc(o.tracks(), func(s *Section) bool { return s.RTCPMux })
	sent := make(map[siaran.Kind][]string) // layers
	stream := ""
	for _, s := range o.tracks() {
		s.RTCPMux = s.RTCPMux || s.bundleOnly && mux // it may leave out shared attributes (RFC 9143 section 7.1.3)
		if !s.RTCPMux {
			return unacceptable("m= section %d has no a=rtcp-mux", s.Index)
		}
		if s.Direction != SendOnly && s.Direction != SendRecv {
			continue
		}
		if before := sent[s.Kind]; len(before) > 0 &&
			(s.Layer == "" || slices.Contains(before, "") || slices.Contains(before, s.Layer)) {
			return unacceptable("it offers more than one %s track", s.Kind)
		}
		sent[s.Kind] = append(sent[s.Kind], s.Layer)
		if stream != "" && s.Stream != "" && s.Stream != stream {
			return unacceptable("its tracks belong to more than one MediaStream")
		}
		stream = cmp.Or(stream, s.Stream)
	}
	return nil
}

// tracks returns the sections that can be negotiated.
func (o *Offer) tracks() []*Section {
	var list []*Section
	for i := range o.Sections {
		if s := &o.Sections[i]; s.Kind != siaran.KindOther && !s.Rejected {
			list = append(list, s)
		}
	}
	return list
}

// section returns the section with this mid, nil when there is none.
func (o *Offer) section(mid string) *Section {
	for i := range o.Sections {
		if o.Sections[i].Mid == mid {
			return &o.Sections[i]
		}
	}
	return nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", siaran.ErrMalformedOffer, fmt.Sprintf(format, args...))
}

func unacceptable(format string, args ...any) error {
	return fmt.Errorf("%w: %s", siaran.ErrUnacceptable, fmt.Sprintf(format, args...))
}
