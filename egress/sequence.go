package egress

import "siaran"

const maxRuns = 16 // how many jumps back a viewer's losses can still be repaired

// sequencer maps the packets of layers to the sequence numbers of one viewer's SSRC. These rise by one wherever nothing
// was lost, whatever was skipped or switched to in between. It also maps them back, for repair.
type sequencer struct {
	next int64 // extended beyond 16 bits
	runs []run // the newest is the last; at most maxRuns
}

// run says that the viewer's numbers from out on are the layer's numbers from in on.
type run struct {
	out, in int64
	layer   *siaran.Layer
}

// jump makes in, of a layer, the next number. It adds no run if in continues the newest one.
func (s *sequencer) jump(layer *siaran.Layer, in int64) {
	if n := len(s.runs); n > 0 && s.runs[n-1].layer == layer && s.runs[n-1].out+in-s.runs[n-1].in == s.next {
		return
	}
	if len(s.runs) == maxRuns {
		s.runs = append(s.runs[:0], s.runs[1:]...)
	}
	s.runs = append(s.runs, run{out: s.next, in: in, layer: layer})
}

// forget drops the mapping of what has been sent, so that it is not repaired.
func (s *sequencer) forget() { s.runs = s.runs[:0] }

// assign returns the number for in, which must not be below that of the last jump.
func (s *sequencer) assign(in int64) int64 {
	r := s.runs[len(s.runs)-1]
	out := r.out + in - r.in
	s.next = out + 1
	return out
}

// expand returns the index of what was sent under a number (RFC 3550 section 5.1, modulo 2^16).
func (s *sequencer) expand(number uint16) (out int64, ok bool) {
	out = s.next + int64(int16(number-uint16(s.next)))
	return out, out < s.next
}

// find returns the packet that was sent under an index.
func (s *sequencer) find(out int64) (layer *siaran.Layer, in int64, ok bool) {
	for i := len(s.runs) - 1; i >= 0; i-- {
		if r := s.runs[i]; out >= r.out {
			return r.layer, r.in + out - r.out, true
		}
	}
	return nil, 0, false
}
