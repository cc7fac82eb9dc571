package codec

import (
	"encoding/binary"

	"siaran"
)

// MostDescriptor is the most that [AppendDescriptor] appends, in bytes.
const MostDescriptor = maxDescriptor + 5

// AppendDescriptor appends a packet's dependency descriptor as it goes out to a viewer who gets the layers up to these:
// with another number of its frame, and, in the first packet of a frame, with the decode targets that the viewer gets.
// So receivers know from every frame on what comes, whatever they have missed.
func AppendDescriptor(b []byte, a *siaran.Apart, number uint16, spatial, temporal uint8) []byte {
	from := len(b)
	if !a.Starts {
		b = append(b, a.Descriptor...)
		binary.BigEndian.PutUint16(b[from+1:], number)
		return b
	}
	r, w := bitReader{data: a.Descriptor}, bitAppender{b: b}
	w.write(r.read(8), 8)
	r.read(16)
	w.write(int(number), 16)
	const active = 1 << 3 // of the flags
	if len(a.Descriptor) > mandatory {
		w.write(r.read(flagBits)|active, flagBits)
		for r.pos < a.MaskAt {
			n := min(a.MaskAt-r.pos, 8)
			w.write(r.read(n), n)
		}
	} else {
		w.write(active, flagBits)
	}
	targets := len(a.Targets)
	if a.Masked {
		r.read(targets)
	}
	w.write(int(a.Active&upTo(a.Targets, spatial, temporal)), targets)
	for end := 8 * len(a.Descriptor); r.pos < end; {
		n := min(end-r.pos, 8)
		w.write(r.read(n), n)
	}
	return w.b
}

// upTo is the mask of the targets that need no layers above these.
func upTo(targets []siaran.Target, spatial, temporal uint8) (mask uint32) {
	for i, t := range targets {
		if t.Spatial <= spatial && t.Temporal <= temporal {
			mask |= 1 << i
		}
	}
	return mask
}

// bitAppender appends bits to bytes. The last byte is filled up with zeros.
type bitAppender struct {
	b    []byte
	free int // bits of the last byte
}

func (w *bitAppender) write(v, n int) {
	for n > 0 {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		take := min(n, w.free)
		w.free -= take
		n -= take
		w.b[len(w.b)-1] |= byte(v >> n & (1<<take - 1) << w.free)
	}
}
