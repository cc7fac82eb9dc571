package codec

import (
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
)

// The aggregation header of a payload (RTP Payload Format For AV1, version 1.0, section 4.4).
const (
	av1Continued = 0x80 // Z: the first element began in the previous packet
	av1Continues = 0x40 // Y: the last element continues in the next packet
	av1Begins    = 0x08 // N: a new coded video sequence begins
	// W counts up to 3 elements, of which the last has no length; with W 0 there may be more, and each has its length.
	av1MaxCount = 3
)

// JoinAV1 makes two consecutive RTP payloads of one temporal unit one frame for receivers that take each packet without
// Z for the first of a frame, as Chromium does without a dependency descriptor. Such payloads meet at the boundary of
// two OBUs; JoinAV1 moves the first byte of the second OBU into the first payload, so that the second one gets its Z.
//
// Where nothing is to be done, or it cannot be done, both are returned unchanged. A first payload of temporal
// delimiters alone, which should not be sent in RTP (section 5), is returned as nil. Neither argument is written to.
func JoinAV1(first, second []byte) (a, b []byte) {
	if !AV1EndsUnit(first) || len(second) < 2 || second[0]&av1Continued != 0 {
		return first, second
	}
	before, whole := av1Split(first)
	after, whole2 := av1Split(second)
	if !whole || !whole2 {
		return first, second
	}
	if !slices.ContainsFunc(before, func(e []byte) bool { return av1Kind(e) != av1.OBUTypeTemporalDelimiter }) {
		return nil, second
	}
	// A sequence header begins a key frame and must stay in one piece.
	if len(after[0]) < 2 || av1Kind(after[0]) == av1.OBUTypeSequenceHeader {
		return first, second
	}
	a = av1Payload(first[0]&(av1Continued|av1Begins)|av1Continues, append(before, after[0][:1]))
	after[0] = after[0][1:]
	return a, av1Payload(second[0]&av1Continues|av1Continued, after)
}

// AV1EndsUnit reports whether the last OBU in an RTP payload ends with the payload.
func AV1EndsUnit(payload []byte) bool { return len(payload) > 1 && payload[0]&av1Continues == 0 }

func av1Kind(element []byte) av1.OBUType { return av1.OBUType(element[0] >> 3 & 0xf) }

// av1Split returns the elements of a payload, none of them empty; false when the payload is malformed.
func av1Split(payload []byte) (list [][]byte, ok bool) {
	for element := range av1Elements(payload) {
		if len(element) == 0 {
			return nil, false
		}
		list = append(list, element)
	}
	if len(list) == 0 {
		return nil, false
	}
	last := list[len(list)-1]
	return list, &last[len(last)-1] == &payload[len(payload)-1]
}

func av1Payload(flags byte, elements [][]byte) []byte {
	counted := len(elements) <= av1MaxCount
	if counted {
		flags |= byte(len(elements)) << 4
	}
	b := []byte{flags}
	for i, e := range elements {
		if !counted || i < len(elements)-1 {
			b = appendLEB128(b, len(e))
		}
		b = append(b, e...)
	}
	return b
}

func appendLEB128(b []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		b = append(b, byte(n)|0x80)
	}
	return append(b, byte(n))
}

// av1Elements yields the elements of a payload. It stops where the payload is malformed.
func av1Elements(payload []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		count := int(payload[0] >> 4 & 3)
		rest := payload[1:]
		for i := 1; len(rest) > 0; i++ {
			size := len(rest)
			if count == 0 || i < count {
				var length av1.LEB128
				n, err := length.Unmarshal(rest)
				if err != nil || uint64(length) > uint64(len(rest)-n) {
					return
				}
				rest, size = rest[n:], int(length)
			}
			element := rest[:size]
			rest = rest[size:]
			if !yield(element) {
				return
			}
		}
	}
}

// AV1Sequence is the content of a sequence header (AV1 section 5.5).
type AV1Sequence struct {
	Profile       int
	Level         int // seq_level_idx of the first operating point
	HighTier      bool
	Width, Height int // in pixels, at most 65536
	BitDepth      int
	FrameRate     float64 // frames per second, when they come at equal intervals; else 0
}

// ParseAV1Sequence reads a sequence header, with or without a size field, and reports whether it is one.
func ParseAV1Sequence(obu []byte) (AV1Sequence, bool) {
	unit, ok := parseOBU(obu)
	if !ok || unit.kind != av1.OBUTypeSequenceHeader {
		return AV1Sequence{}, false
	}
	return parseAV1Sequence(unit.body)
}

// parseAV1Sequence reads what follows the header of the OBU. The library's parser does not support
// initial_display_delay.
func parseAV1Sequence(body []byte) (AV1Sequence, bool) {
	r := bitReader{data: body}
	var s AV1Sequence
	s.Profile = r.read(3)
	r.read(1) // still_picture
	reduced := r.flag()
	if reduced {
		s.Level = r.read(5)
	} else {
		r.operatingPoints(&s)
	}
	widthBits, heightBits := r.read(4)+1, r.read(4)+1
	s.Width, s.Height = r.read(widthBits)+1, r.read(heightBits)+1
	if !reduced && r.flag() { // frame_id_numbers_present_flag
		r.read(4 + 3)
	}
	r.read(3) // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
	if !reduced {
		r.tools()
	}
	r.read(3) // enable_superres, enable_cdef, enable_restoration
	s.BitDepth = 8
	if r.flag() { // high_bitdepth
		s.BitDepth = 10
		if s.Profile == 2 && r.flag() {
			s.BitDepth = 12
		}
	}
	return s, !r.failed && s.Profile <= 2
}

// operatingPoints reads the fields from timing_info_present_flag to the last operating point.
func (r *bitReader) operatingPoints(s *AV1Sequence) {
	delayBits, model := 0, false
	if r.flag() { // timing_info_present_flag
		tick, scale := uint32(r.read(32)), uint32(r.read(32))
		if r.flag() { // equal_picture_interval
			s.FrameRate = float64(scale) / float64(tick) / (float64(r.uvlc()) + 1)
		}
		if model = r.flag(); model { // decoder_model_info_present_flag
			delayBits = r.read(5) + 1
			r.read(32)
			r.read(5 + 5)
		}
	}
	delays := r.flag() // initial_display_delay_present_flag
	for i := range r.read(5) + 1 {
		r.read(12) // operating_point_idc
		level, tier := r.read(5), false
		if level > 7 {
			tier = r.flag()
		}
		if i == 0 {
			s.Level, s.HighTier = level, tier
		}
		if model && r.flag() { // decoder_model_present_for_this_op
			r.read(delayBits)
			r.read(delayBits)
			r.read(1)
		}
		if delays && r.flag() { // initial_display_delay_present_for_this_op
			r.read(4)
		}
	}
}

// tools reads the fields from enable_interintra_compound to order_hint_bits.
func (r *bitReader) tools() {
	r.read(4)        // enable_interintra_compound, enable_masked_compound, enable_warped_motion, enable_dual_filter
	hint := r.flag() // enable_order_hint
	if hint {
		r.read(2)
	}
	screen := true // seq_force_screen_content_tools is above 0
	if !r.flag() { // seq_choose_screen_content_tools
		screen = r.flag()
	}
	if screen && !r.flag() { // seq_choose_integer_mv
		r.read(1)
	}
	if hint {
		r.read(3)
	}
}
