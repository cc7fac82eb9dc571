package codec

import (
	"encoding/binary"

	"github.com/pion/rtp/codecs"

	"siaran"
)

// stateless is for formats in which each packet can be judged by itself.
type stateless struct{}

func (stateless) lost() {}

// vp8Finder finds key frames and temporal layers of VP8 (RFC 7741).
type vp8Finder struct{ stateless }

func (vp8Finder) find(payload []byte, _ int64) (frame siaran.Frame) {
	var p codecs.VP8Packet
	data, err := p.Unmarshal(payload)
	if err != nil {
		return siaran.Frame{}
	}
	frame.Temporal, frame.SwitchUp = p.TID, p.TID > 0 && p.Y == 1
	if p.TID == 0 && p.N == 1 { // no frame needs this one
		frame.Temporal, frame.SwitchUp = 1, true
	}
	if p.S != 1 || p.PID != 0 {
		return frame
	}
	// A key frame has 0 in the lowest bit of its header, and a start code (RFC 6386 section 9.1).
	if len(data) < 10 || data[0]&1 != 0 || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a {
		return frame
	}
	width := binary.LittleEndian.Uint16(data[6:]) & 0x3fff
	height := binary.LittleEndian.Uint16(data[8:]) & 0x3fff
	frame = siaran.Frame{Keyframe: true}
	frame.Width, frame.Height = saneSize(int(width), int(height))
	return frame
}
