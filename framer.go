package siaran

// Frame is what the payload of one RTP packet tells about the frame it belongs to.
type Frame struct {
	Keyframe bool // the packet is the first of a key frame; for audio, every packet
	End      bool // the packet is the last of its frame

	// In pixels, when the packet tells them, else 0.
	Width, Height int

	// Prefix are RTP payloads to be put in before this packet: parameter sets that an H264
	// or H265 encoder sent once and not again with this key frame. Each is a packet of the same timestamp.
	Prefix [][]byte
}

// Framer recognises frames in the packets of one source, given in order. It never panics,
// whatever the bytes, and where they leave a doubt, it is no key frame. It is for one goroutine.
type Framer struct {
	looker looker // nil for audio
}

// looker is what differs from codec to codec.
type looker interface {
	// look finds key frames; the end of a frame is the marker's to say, in all formats.
	look(payload []byte, timestamp int64) Frame
	lost()
	ended()
}

// NewFramer makes a framer for RTP payloads of the codec.
func NewFramer(codec CodecName) *Framer {
	switch codec {
	case H264:
		return &Framer{&nalFramer{grammar: h264Grammar{}}}
	case H265:
		return &Framer{&nalFramer{grammar: h265Grammar{}}}
	case VP8:
		return &Framer{vp8Framer{}}
	case VP9:
		return &Framer{vp9Framer{}}
	case AV1:
		return &Framer{&av1Framer{}}
	}
	return &Framer{}
}

// Next looks at the next packet.
func (f *Framer) Next(payload []byte, timestamp int64, marker bool) Frame {
	if f.looker == nil {
		return Frame{Keyframe: true, End: true}
	}
	frame := f.looker.look(payload, timestamp)
	frame.End = marker
	if marker {
		f.looker.ended()
	}
	return frame
}

// Lost says that packets are missing between the last one and the next.
func (f *Framer) Lost() {
	if f.looker != nil {
		f.looker.lost()
	}
}

// saneSize are sizes as they are told, or 0 and 0 when no picture can be of that size.
func saneSize(width, height int) (int, int) {
	const most = 1 << 14
	if width < 1 || width > most || height < 1 || height > most {
		return 0, 0
	}
	return width, height
}
