package egress

import (
	"encoding/binary"

	"siaran"
)

// pictureID is how the payload descriptors of VP8 (RFC 7741 section 4.2) and VP9 (RFC 9628 section 4.2) number a
// picture: among all, and among those of temporal layer 0.
type pictureID struct {
	picture   uint16 // 15 bits, or 7
	tl0       uint8  // TL0PICIDX
	rewritten bool   // the payload has other ones
}

// pictureFields is where a payload has them.
type pictureFields struct {
	picture int // offset; 0: it has none
	wide    bool
	tl0     int // offset; 0: it has none
}

func (f pictureFields) read(payload []byte) (id pictureID) {
	if f.picture > 0 && f.wide {
		id.picture = binary.BigEndian.Uint16(payload[f.picture:]) & 0x7fff
	} else if f.picture > 0 {
		id.picture = uint16(payload[f.picture] & 0x7f)
	}
	if f.tl0 > 0 {
		id.tl0 = payload[f.tl0]
	}
	return id
}

func (f pictureFields) write(payload []byte, id pictureID) {
	if f.picture > 0 && f.wide {
		binary.BigEndian.PutUint16(payload[f.picture:], 1<<15|id.picture&0x7fff)
	} else if f.picture > 0 {
		payload[f.picture] = byte(id.picture & 0x7f)
	}
	if f.tl0 > 0 {
		payload[f.tl0] = id.tl0
	}
}

// pictureFieldsOf finds them in a payload. It has none if the descriptor breaks off.
func pictureFieldsOf(codec siaran.CodecName, payload []byte) (f pictureFields) {
	switch codec {
	case siaran.VP8:
		f = vp8Fields(payload)
	case siaran.VP9:
		f = vp9Fields(payload)
	}
	if f.wide && f.picture+1 >= len(payload) || f.picture >= len(payload) || f.tl0 >= len(payload) {
		return pictureFields{}
	}
	return f
}

func vp8Fields(b []byte) (f pictureFields) {
	const extended, hasPicture, hasTL0 = 0x80, 0x80, 0x40
	if len(b) < 2 || b[0]&extended == 0 {
		return f
	}
	at := 2
	if b[1]&hasPicture != 0 {
		if len(b) <= at {
			return f
		}
		f.picture, f.wide = at, b[at]&0x80 != 0
		at = f.after()
	}
	if b[1]&hasTL0 != 0 {
		f.tl0 = at
	}
	return f
}

func vp9Fields(b []byte) (f pictureFields) {
	const hasPicture, hasLayer, flexible = 0x80, 0x20, 0x10
	if len(b) < 2 {
		return f
	}
	at := 1
	if b[0]&hasPicture != 0 {
		f.picture, f.wide = at, b[at]&0x80 != 0
		at = f.after()
	}
	if b[0]&hasLayer != 0 && b[0]&flexible == 0 {
		f.tl0 = at + 1
	}
	return f
}

// after is the offset of what follows the picture id.
func (f pictureFields) after() int {
	if f.wide {
		return f.picture + 2
	}
	return f.picture + 1
}

// pictureIDs makes the ids continuous for a viewer, whatever was left out or switched to. Receivers wait for a picture
// whose id is missing.
type pictureIDs struct {
	started    bool
	timestamp  int64     // of the newest frame
	last       pictureID // as it was sent
	picture    uint16    // what is added
	tl0        uint8
	rebasePid  bool // something has been left out before the next frame
	rebaseBoth bool // the next key frame is of another layer, or follows a pause
}

// skip says that a frame of the layer is left out. VP9's ids stay as they are then: its frames name the pictures that
// they need by the distance of ids.
func (s *pictureIDs) skip(codec siaran.CodecName) { s.rebasePid = s.rebasePid || codec == siaran.VP8 }

// switched says that what follows begins with a key frame and does not continue what was sent.
func (s *pictureIDs) switched() { s.rebaseBoth = true }

// described returns the number with which the frame of a packet goes out in a descriptor. Frames name those that they
// need by distance, and a key frame needs none, so each key frame continues the numbers.
func (s *pictureIDs) described(p *siaran.Packet) pictureID {
	if p.Keyframe || s.rebaseBoth || !s.started {
		if s.started {
			s.picture = s.last.picture + 1 - p.Apart.Frame
		}
		s.started, s.rebaseBoth = true, false
	}
	s.last.picture = p.Apart.Frame + s.picture
	return s.last
}

// at returns the ids with which a packet goes out.
func (s *pictureIDs) at(codec siaran.CodecName, p *siaran.Packet) pictureID {
	f := pictureFieldsOf(codec, p.Payload)
	if f.picture == 0 && f.tl0 == 0 {
		return pictureID{}
	}
	in := f.read(p.Payload)
	if !s.started || p.Timestamp != s.timestamp || s.rebaseBoth { // a key frame may come a second time
		if s.started && (s.rebasePid || s.rebaseBoth) {
			s.picture = s.last.picture + 1 - in.picture
		}
		if s.started && s.rebaseBoth {
			s.tl0 = s.last.tl0 + 1 - in.tl0
		}
		s.started, s.timestamp, s.rebasePid, s.rebaseBoth = true, p.Timestamp, false, false
	}
	out := pictureID{picture: in.picture + s.picture, tl0: in.tl0 + s.tl0}
	s.last = out
	out.rewritten = s.picture != 0 || s.tl0 != 0
	return out
}
