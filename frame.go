package siaran

// Frame is what the payload of one RTP packet says about the frame that it belongs to.
type Frame struct {
	Keyframe bool // the packet is the first of a key frame; for audio, every packet
	// The frame is shown before one that was sent earlier: a B-frame. Set on one packet of the frame; H264 and H265
	// only.
	Backward bool
	// The packet has the marker, so it is the last of its frame. A new timestamp also ends a frame (RFC 6184 section
	// 5.1).
	End bool
	Place

	// In pixels; 0 when the packet does not say. Of several spatial layers, the highest counts.
	Width, Height int
	// Sizes of the spatial layers, the base layer first; nil when the packet does not say.
	Sizes  []Size
	Format *Format // nil when the packet does not say; never written to

	// Prefix holds RTP payloads to be inserted before this packet: parameter sets that an H264 or H265 encoder sent
	// once and did not repeat with this key frame. Each becomes a packet with the same timestamp.
	Prefix [][]byte
}

// Framer recognises frames in the RTP payloads of one layer, which it gets in order. It is used by one goroutine.
type Framer interface {
	// Next reads the payload of the next packet. The timestamp is extended to 64 bits.
	Next(payload []byte, timestamp int64, marker bool) Frame
	// Lost says that packets are missing between the last one and the next.
	Lost()
}
