package siaran

import (
	"github.com/pion/sdp/v3"
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

// Fingerprint is a certificate's hash (RFC 8122).
type Fingerprint struct {
	Algorithm string // lower case, such as sha-256
	Value     string // upper-case hexadecimal with colons
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
func ParseOffer(text []byte) (*Offer, error) {
	return nil, ErrMalformedOffer
}
