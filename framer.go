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
// whatever the bytes. It is for one goroutine.
type Framer struct {
	codec CodecName
}

// NewFramer makes a framer for RTP payloads of the codec.
func NewFramer(codec CodecName) *Framer { return &Framer{codec: codec} }

// Next looks at the next packet.
func (f *Framer) Next(payload []byte, timestamp int64, marker bool) Frame {
	return Frame{Keyframe: f.codec.Kind() == KindAudio, End: marker}
}
