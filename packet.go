package siaran

import "time"

// Packet is one RTP packet of a layer. It is shared by all who read it and never written again.
type Packet struct {
	Seq       int64     // the layer's own count, without wraps; a gap is a packet that was lost on its way here
	Timestamp int64     // the layer's own, in units of the clock rate, without wraps
	Arrival   time.Time // when it came from the network
	Payload   []byte    // RTP payload, without padding; at most 1500 bytes
	Marker    bool      // RTP marker bit
	Keyframe  bool      // the first packet of a key frame, or any packet of audio
	FrameEnd  bool      // the last packet of a frame
}
