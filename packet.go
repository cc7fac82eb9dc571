package siaran

import "time"

// Packet is one RTP packet of a layer. All readers share it, so it is never changed.
type Packet struct {
	Seq       int64     // counted by the layer, without wraps; a gap is a loss on the way here
	Timestamp int64     // of the layer, in units of the clock rate, without wraps
	Arrival   time.Time // from the network
	Payload   []byte    // RTP payload, without padding; at most 1500 bytes
	Marker    bool      // RTP marker bit
	Keyframe  bool      // the first packet of a key frame, or any packet of audio
	FrameEnd  bool      // the last packet of a frame
	Place
	Apart *Apart // nil where spatial layers, if there are any, need no care
}
