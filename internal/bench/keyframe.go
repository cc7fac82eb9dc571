package bench

import "github.com/pion/rtp/codecs"

// isVideo reports whether a codec is one whose key frames beginsKeyframe recognises.
func isVideo(codec string) bool {
	switch codec {
	case "H264", "H265", "VP8", "VP9", "AV1":
		return true
	}
	return false
}

// beginsKeyframe reports whether an RTP payload is the first one of a key frame, or one early enough in it, as far as
// the payload alone shows. Codec is the name in an rtpmap, in upper case.
func beginsKeyframe(codec string, payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	switch codec {
	case "H264":
		return h264Keyframe(payload)
	case "H265":
		return h265Keyframe(payload)
	case "VP8":
		var p codecs.VP8Packet
		body, err := p.Unmarshal(payload)
		return err == nil && p.S == 1 && p.PID == 0 && len(body) > 0 && body[0]&1 == 0
	case "VP9":
		var p codecs.VP9Packet
		_, err := p.Unmarshal(payload)
		return err == nil && p.B && !p.P && p.SID == 0
	case "AV1":
		return payload[0]&0x88 == 0x08 // a new coded video sequence, and not the rest of a unit
	}
	return false
}

func h264Keyframe(payload []byte) bool {
	switch kind := payload[0] & 0x1f; kind {
	case 5, 7:
		return true
	case 24: // STAP-A
		for rest := payload[1:]; len(rest) > 2; {
			size := int(rest[0])<<8 | int(rest[1])
			if kind := rest[2] & 0x1f; size > 0 && (kind == 5 || kind == 7) {
				return true
			}
			rest = rest[min(2+size, len(rest)):]
		}
	case 28: // FU-A
		return payload[1]&0x80 != 0 && (payload[1]&0x1f == 5 || payload[1]&0x1f == 7)
	}
	return false
}

func h265Keyframe(payload []byte) bool {
	key := func(kind byte) bool { return kind >= 16 && kind <= 21 || kind == 32 || kind == 33 }
	switch kind := payload[0] >> 1 & 0x3f; kind {
	case 48: // aggregation
		for rest := payload[2:]; len(rest) > 2; {
			size := int(rest[0])<<8 | int(rest[1])
			if size > 0 && key(rest[2]>>1&0x3f) {
				return true
			}
			rest = rest[min(2+size, len(rest)):]
		}
		return false
	case 49: // fragment
		return len(payload) > 2 && payload[2]&0x80 != 0 && key(payload[2]&0x3f)
	default:
		return key(kind)
	}
}

// firstKeyframe detects when a key frame is complete: all packets from its first one to the one with the marker.
type firstKeyframe struct {
	begun     bool
	timestamp uint32
	first     int64
	last      int64 // the packet with the marker, -1 until it has arrived
	seen      map[int64]struct{}
}

const maxKeyframePackets = 8192

// see takes a packet of the video and reports whether the frame is complete. n is its sequence number, unwrapped.
func (f *firstKeyframe) see(codec string, n int64, timestamp uint32, marker bool, payload []byte) bool {
	if (!f.begun || f.timestamp != timestamp) && beginsKeyframe(codec, payload) {
		*f = firstKeyframe{begun: true, timestamp: timestamp, first: n, last: -1, seen: make(map[int64]struct{})}
	}
	if !f.begun || timestamp != f.timestamp || len(f.seen) >= maxKeyframePackets {
		return false
	}
	if n < f.first && beginsKeyframe(codec, payload) { // it arrived late
		f.first = n
	}
	if n < f.first {
		return false
	}
	f.seen[n] = struct{}{}
	if marker {
		f.last = n
	}
	return f.last >= 0 && int64(len(f.seen)) == f.last-f.first+1
}
