package codec

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"

	"siaran"
)

// Types of OBUs that the library does not name (AV1 section 6.2.2).
const (
	obuFrameHeader av1.OBUType = 3
	obuFrame       av1.OBUType = 6
)

// av1Finder finds key frames of AV1, which begin with a sequence header (RTP Payload Format For AV1, version 1.0).
//
// It also finds temporal layers, but neither where they can be begun nor spatial layers: for those, the broadcaster has
// to send a dependency descriptor.
type av1Finder struct {
	timestamp int64 // of the last key frame
	flagged   bool

	unit     int64 // timestamp of the newest temporal unit
	begun    bool
	temporal uint8 // its temporal layer
}

func (f *av1Finder) find(payload []byte, timestamp int64) siaran.Frame {
	if !f.begun || timestamp != f.unit {
		f.begun, f.unit, f.temporal = true, timestamp, av1Temporal(payload)
	}
	frame := f.findKey(payload, timestamp)
	frame.Temporal = f.temporal
	return frame
}

func (f *av1Finder) findKey(payload []byte, timestamp int64) siaran.Frame {
	if f.flagged && timestamp == f.timestamp {
		return siaran.Frame{}
	}
	if len(payload) < 2 || payload[0]&av1Continued != 0 {
		return siaran.Frame{}
	}
	frame, sequence := siaran.Frame{}, false
	for obu := range av1Units(payload) {
		switch obu.kind {
		case av1.OBUTypeSequenceHeader:
			if sequence = obu.whole; !sequence {
				return siaran.Frame{}
			}
			if s, ok := parseAV1Sequence(obu.body); ok {
				frame.Width, frame.Height = saneSize(s.Width, s.Height)
				frame.Format = av1Format(s)
			}
		case obuFrame, obuFrameHeader:
			const showExisting, frameType = 0x80, 0x60 // frame_type 0 is KEY_FRAME
			if sequence && len(obu.body) == 0 && !obu.whole {
				break // the packet says no more than a sequence header alone would
			}
			if !sequence || len(obu.body) == 0 || obu.body[0]&(showExisting|frameType) != 0 {
				return siaran.Frame{}
			}
			return f.flag(frame, timestamp)
		}
	}
	if !sequence {
		return siaran.Frame{}
	}
	return f.flag(frame, timestamp)
}

// av1Temporal is the temporal layer of the first frame that begins in a payload.
func av1Temporal(payload []byte) uint8 {
	if len(payload) < 2 || payload[0]&av1Continued != 0 {
		return 0
	}
	for obu := range av1Units(payload) {
		if obu.kind == obuFrame || obu.kind == obuFrameHeader {
			return obu.temporal
		}
	}
	return 0
}

func (f *av1Finder) flag(frame siaran.Frame, timestamp int64) siaran.Frame {
	f.flagged, f.timestamp = true, timestamp
	frame.Keyframe = true
	return frame
}

func (f *av1Finder) lost() { f.flagged = false }

// av1OBU is an open bitstream unit (OBU).
type av1OBU struct {
	kind  av1.OBUType
	body  []byte // what follows the header and the size, as far as the packet goes
	whole bool

	temporal uint8 // temporal_id, 0 without an extension (AV1 section 5.3.3)
}

// av1Units yields the OBUs that begin in a payload. It stops where the payload is malformed.
func av1Units(payload []byte) func(yield func(av1OBU) bool) {
	return func(yield func(av1OBU) bool) {
		end := &payload[len(payload)-1]
		for element := range av1Elements(payload) {
			last := len(element) > 0 && &element[len(element)-1] == end
			obu, ok := parseOBU(element)
			obu.whole = !last || payload[0]&av1Continues == 0
			if ok && !yield(obu) {
				return
			}
		}
	}
}

// parseOBU reads the header of an OBU (AV1 section 5.3). Its size field is optional in RTP.
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
		obu.temporal = body[0] >> 5
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
