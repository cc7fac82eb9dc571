package siaran

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
)

// Types of units that the library does not name (AV1 section 6.2.2).
const (
	obuFrameHeader av1.OBUType = 3
	obuFrame       av1.OBUType = 6
)

// av1Framer finds key frames of AV1 (RTP Payload Format For AV1, version 1.0). They begin with a sequence header.
type av1Framer struct {
	timestamp int64 // of the last key frame
	flagged   bool
}

func (f *av1Framer) look(payload []byte, timestamp int64) Frame {
	if f.flagged && timestamp == f.timestamp {
		return Frame{}
	}
	const continued = 0x80 // Z: the first element began in the packet before
	if len(payload) < 2 || payload[0]&continued != 0 {
		return Frame{}
	}
	frame, sequence := Frame{}, false
	for obu := range av1Elements(payload) {
		switch obu.kind {
		case av1.OBUTypeSequenceHeader:
			if sequence = obu.whole; !sequence {
				return Frame{}
			}
			frame.Width, frame.Height = av1Size(obu.body)
		case obuFrame, obuFrameHeader:
			const showExisting, frameType = 0x80, 0x60 // frame_type 0 is KEY_FRAME
			if !sequence || len(obu.body) == 0 || obu.body[0]&(showExisting|frameType) != 0 {
				return Frame{}
			}
			return f.flag(frame, timestamp)
		}
	}
	if !sequence {
		return Frame{}
	}
	return f.flag(frame, timestamp)
}

func (f *av1Framer) flag(frame Frame, timestamp int64) Frame {
	f.flagged, f.timestamp = true, timestamp
	frame.Keyframe = true
	return frame
}

func (f *av1Framer) lost() { f.flagged = false }
func (*av1Framer) ended()  {}

// av1OBU is an open bitstream unit.
type av1OBU struct {
	kind  av1.OBUType
	body  []byte // what follows header and size, as far as it is in the packet
	whole bool
}

// av1Elements are the units that begin in a payload. It stops where the payload makes no sense.
func av1Elements(payload []byte) func(yield func(av1OBU) bool) {
	return func(yield func(av1OBU) bool) {
		goesOn := payload[0]&0x40 != 0    // Y
		count := int(payload[0] >> 4 & 3) // W; 0 means any number, each with its length
		rest := payload[1:]
		for i := 1; len(rest) > 0; i++ {
			size := len(rest)
			if count == 0 || i < count {
				var length av1.LEB128
				n, err := length.Unmarshal(rest)
				if err != nil || uint64(length) > uint64(len(rest)-n) {
					return
				}
				rest, size = rest[n:], int(length)
			}
			element := rest[:size]
			rest = rest[size:]
			obu, ok := parseOBU(element)
			obu.whole = len(rest) > 0 || !goesOn
			if ok && !yield(obu) {
				return
			}
		}
	}
}

// parseOBU reads the header (AV1 section 5.3), whose size field is optional in RTP.
func parseOBU(element []byte) (av1OBU, bool) {
	if len(element) == 0 || element[0]&0x80 != 0 {
		return av1OBU{}, false
	}
	obu := av1OBU{kind: av1.OBUType(element[0] >> 3 & 0xf)}
	extended, sized := element[0]&4 != 0, element[0]&2 != 0
	body := element[1:]
	if extended {
		if len(body) == 0 {
			return av1OBU{}, false
		}
		body = body[1:]
	}
	if sized {
		var size av1.LEB128
		n, err := size.Unmarshal(body)
		if err != nil {
			return av1OBU{}, false
		}
		body = body[n:]
		body = body[:min(uint64(size), uint64(len(body)))]
	}
	obu.body = body
	return obu, true
}

// av1Size is the size that a sequence header tells, 0 and 0 when it uses what the library cannot read.
func av1Size(body []byte) (width, height int) {
	plain := append([]byte{byte(av1.OBUTypeSequenceHeader) << 3}, body...) // without extension and size
	var h av1.SequenceHeader
	if h.Unmarshal(plain) != nil {
		return 0, 0
	}
	return saneSize(h.Width(), h.Height())
}
