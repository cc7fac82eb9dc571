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

// CodecName is the encoding name of a codec in upper case, as the IANA registry of RTP
// payload formats writes it.
type CodecName string

// The codecs that can be broadcast.
const (
	H264 CodecName = "H264"
	H265 CodecName = "H265"
	VP8  CodecName = "VP8"
	VP9  CodecName = "VP9"
	AV1  CodecName = "AV1"
	Opus CodecName = "OPUS"
	PCMU CodecName = "PCMU"
	PCMA CodecName = "PCMA"
	G722 CodecName = "G722"
)

// ParseCodecName folds the case in which SDP writes the name (RFC 8866 section 6.6).
func ParseCodecName(s string) CodecName { return CodecName(strings.ToUpper(s)) }

// Kind is the kind of tracks the codec is for, KindOther when it cannot be broadcast.
func (n CodecName) Kind() Kind {
	switch n {
	case H264, H265, VP8, VP9, AV1:
		return KindVideo
	case Opus, PCMU, PCMA, G722:
		return KindAudio
	}
	return KindOther
}

// Codec is how a track is encoded.
type Codec struct {
	Name      CodecName
	ClockRate uint32 // RTP timestamp units a second
	Channels  uint16 // audio only; as in SDP, so 2 for Opus
	FMTP      string // the format parameters the broadcaster offered
}

// Same tells whether viewers of a can go on with b without a new negotiation.
func (a Codec) Same(b Codec) bool {
	return a.Name == b.Name && a.ClockRate == b.ClockRate && a.Channels == b.Channels
}
