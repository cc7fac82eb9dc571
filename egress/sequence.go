package egress

import "siaran"

const maxRuns = 16 // how far back, in jumps, a viewer's losses can still be repaired

// sequencer gives the packets of layers the sequence numbers of one viewer's SSRC, which
// rise by one wherever nothing was lost, whatever was left out or switched to in between;
// and it knows the way back, for repair.
type sequencer struct {
	next int64 // without wraps
	runs []run // the newest is the last; at most maxRuns
}

// run says that the viewer's numbers from out on are the layer's from in on.
type run struct {
	out, in int64
	layer   *siaran.Layer
}

// jump makes in of layer the next number. Staying on the run that is there costs nothing.
func (s *sequencer) jump(layer *siaran.Layer, in int64) {
	if n := len(s.runs); n > 0 && s.runs[n-1].layer == layer && s.runs[n-1].out+in-s.runs[n-1].in == s.next {
		return
	}
	if len(s.runs) == maxRuns {
		s.runs = append(s.runs[:0], s.runs[1:]...)
	}
	s.runs = append(s.runs, run{out: s.next, in: in, layer: layer})
}

// forget lets go of the way back.
func (s *sequencer) forget() { s.runs = s.runs[:0] }

// assign returns the number for in, which must not be below the last jump.
func (s *sequencer) assign(in int64) int64 {
	r := s.runs[len(s.runs)-1]
	out := r.out + in - r.in
	s.next = out + 1
	return out
}

// find says which packet was sent under a number (RFC 3550 section 5.1, modulo 2^16).
func (s *sequencer) find(number uint16) (layer *siaran.Layer, in, out int64, ok bool) {
	out = s.next + int64(int16(number-uint16(s.next)))
	if out >= s.next {
		return nil, 0, 0, false
	}
	for i := len(s.runs) - 1; i >= 0; i-- {
		if r := s.runs[i]; out >= r.out {
			return r.layer, r.in + out - r.out, out, true
		}
	}
	return nil, 0, 0, false
}
