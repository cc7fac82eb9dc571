package siaran

import "strings"

// Kind is what a track carries.
type Kind uint8

// The kinds of tracks. KindOther stands for sections that are never negotiated (m=application).
const (
	KindOther Kind = iota
	KindAudio
	KindVideo
)

func (k Kind) String() string {
	switch k {
	case KindAudio:
		return "audio"
	case KindVideo:
		return "video"
	}
	return "other"
}

// CodecName is the encoding name of a codec, in upper case; the names are those of the IANA registry of RTP payload
// formats.
type CodecName string

// The codecs that can be broadcast.
const (
	H264 CodecName = "H264"
	H265 CodecName = "H265"
	VP8  CodecName = "VP8"
	VP9  CodecName = "VP9"
	AV1  CodecName = "AV1"
	Opus CodecName = "OPUS"
	// Opus with more than two channels, as libwebrtc calls it. Its parameters say which stream has which channels, as
	// those of RFC 7845 section 5.1.1 do.
	MultiOpus CodecName = "MULTIOPUS"
	PCMU      CodecName = "PCMU"
	PCMA      CodecName = "PCMA"
	G722      CodecName = "G722"
)

// ParseCodecName returns the name in upper case; SDP does not distinguish cases (RFC 8866 section 6.6).
func ParseCodecName(s string) CodecName { return CodecName(strings.ToUpper(s)) }

// Kind is the kind of track that the codec encodes, KindOther when it cannot be broadcast.
func (n CodecName) Kind() Kind {
	switch n {
	case H264, H265, VP8, VP9, AV1:
		return KindVideo
	case Opus, MultiOpus, PCMU, PCMA, G722:
		return KindAudio
	}
	return KindOther
}

// Codec describes how a track is encoded.
type Codec struct {
	Name      CodecName
	ClockRate uint32 // RTP timestamp units per second
	Channels  uint16 // audio only; as in SDP, so always 2 for Opus
	FMTP      string // the format parameters the broadcaster offered
}

// Same reports whether viewers of a can continue with b without a new negotiation.
func (a Codec) Same(b Codec) bool {
	same := a.Name == b.Name && a.ClockRate == b.ClockRate && a.Channels == b.Channels
	return same && (a.Name != MultiOpus || a.FMTP == b.FMTP)
}
