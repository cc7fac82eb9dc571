package bwe

import (
	"encoding/binary"
	"errors"
)

// Errors of a feedback packet, which changes nothing then.
var (
	errShort  = errors.New("transport-cc feedback: it breaks off")
	errType   = errors.New("transport-cc feedback: not a packet of this type")
	errCount  = errors.New("transport-cc feedback: more packets than are remembered")
	errUnsent = errors.New("transport-cc feedback: about packets that were not sent")
)

const (
	feedbackHeader = 20 // bytes before the chunks
	typeRTPFB      = 205
	formatCC       = 15

	referenceUnit = 64_000 // microseconds
	deltaUnit     = 250    // microseconds
)

// Symbols of a packet's status (section 3.1.1).
const (
	notReceived = 0
	smallDelta  = 1
	largeDelta  = 2
)

// report is a parsed feedback packet. It refers to the bytes it was parsed from.
type report struct {
	base      uint16 // number of the first packet
	count     int    // packets, received or not
	reference int32  // 24 bits with a sign, of 64 ms
	chunks    []byte
	deltas    []byte
}

// parse checks one RTCP packet in full.
func parse(b []byte) (report, error) {
	if len(b) < feedbackHeader {
		return report{}, errShort
	}
	if b[0]>>6 != 2 || b[0]&31 != formatCC || b[1] != typeRTPFB {
		return report{}, errType
	}
	size := 4 * (int(binary.BigEndian.Uint16(b[2:])) + 1)
	if size > len(b) || size < feedbackHeader {
		return report{}, errShort
	}
	b = b[:size]
	if b[0]&0x20 != 0 { // padding (RFC 3550 section 6.4.1)
		pad := int(b[size-1])
		if pad == 0 || pad > size-feedbackHeader {
			return report{}, errShort
		}
		b = b[:size-pad]
	}
	r := report{
		base: binary.BigEndian.Uint16(b[12:]), count: int(binary.BigEndian.Uint16(b[14:])),
		reference: int32(binary.BigEndian.Uint32(b[16:])) >> 8, chunks: b[feedbackHeader:],
	}
	if r.count > remembered {
		return report{}, errCount
	}
	s := statuses{chunks: r.chunks}
	need := 0
	for range r.count {
		status, ok := s.next()
		if !ok {
			return report{}, errShort
		}
		need += deltaSize(status)
	}
	if r.deltas = s.chunks; len(r.deltas) < need {
		return report{}, errShort
	}
	return r, nil
}

// deltaSize is how many bytes a packet with this status has among the deltas.
func deltaSize(status uint16) int {
	if status == smallDelta || status == largeDelta {
		return int(status)
	}
	return 0
}

// statuses reads the symbols of packet chunks one by one.
type statuses struct {
	chunks []byte // those that follow
	chunk  uint16
	left   int // symbols in chunk
	bits   int // of a symbol in a vector; 0: a run of one symbol
}

func (s *statuses) next() (status uint16, ok bool) {
	for s.left == 0 {
		if len(s.chunks) < 2 {
			return 0, false
		}
		s.load(binary.BigEndian.Uint16(s.chunks))
		s.chunks = s.chunks[2:]
	}
	s.left--
	switch s.bits {
	case 0:
		return s.chunk >> 13 & 3, true
	case 1:
		return s.chunk >> s.left & 1, true
	}
	return s.chunk >> (2 * s.left) & 3, true
}

func (s *statuses) load(chunk uint16) {
	s.chunk = chunk
	switch {
	case chunk&0x8000 == 0: // run length (section 3.1.3)
		s.bits, s.left = 0, int(chunk&0x1fff)
	case chunk&0x4000 == 0: // status vector (section 3.1.4)
		s.bits, s.left = 1, 14
	default:
		s.bits, s.left = 2, 7
	}
}

// delta takes the next delta, in microseconds.
func (r *report) delta(status uint16) int64 {
	if status == smallDelta {
		d := int64(r.deltas[0])
		r.deltas = r.deltas[1:]
		return d * deltaUnit
	}
	d := int64(int16(binary.BigEndian.Uint16(r.deltas)))
	r.deltas = r.deltas[2:]
	return d * deltaUnit
}
