package siaran

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp/codecs"
)

// stateless is for formats in which each packet tells all by itself.
type stateless struct{}

func (stateless) lost()  {}
func (stateless) ended() {}

// vp8Framer finds key frames of VP8 (RFC 7741).
type vp8Framer struct{ stateless }

func (vp8Framer) look(payload []byte, _ int64) Frame {
	var p codecs.VP8Packet
	data, err := p.Unmarshal(payload)
	if err != nil || p.S != 1 || p.PID != 0 {
		return Frame{}
	}
	// The frame header is in RFC 6386 section 9.1: 0 in the lowest bit, and a start code, make a key frame.
	if len(data) < 10 || data[0]&1 != 0 || data[3] != 0x9d || data[4] != 0x01 || data[5] != 0x2a {
		return Frame{}
	}
	width := binary.LittleEndian.Uint16(data[6:]) & 0x3fff
	height := binary.LittleEndian.Uint16(data[8:]) & 0x3fff
	frame := Frame{Keyframe: true}
	frame.Width, frame.Height = saneSize(int(width), int(height))
	return frame
}

// vp9Framer finds key frames of VP9 (RFC 9628).
type vp9Framer struct{ stateless }

func (vp9Framer) look(payload []byte, _ int64) Frame {
	const predicted, begins = 0x40, 0x08
	if len(payload) == 0 || payload[0]&(predicted|begins) != begins {
		return Frame{}
	}
	var p codecs.VP9Packet
	data, err := p.Unmarshal(payload)
	if err != nil || p.SID != 0 || p.D {
		return Frame{}
	}
	var h vp9.Header
	if err := h.Unmarshal(data); err != nil || h.ShowExistingFrame || h.NonKeyFrame {
		return Frame{}
	}
	width, height := h.Width(), h.Height()
	for i := range min(len(p.Width), len(p.Height)) { // spatial layers; the frame's own size is that of the lowest
		if int(p.Width[i])*int(p.Height[i]) > width*height {
			width, height = int(p.Width[i]), int(p.Height[i])
		}
	}
	frame := Frame{Keyframe: true}
	frame.Width, frame.Height = saneSize(width, height)
	return frame
}
