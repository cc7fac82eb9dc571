package codec

import (
	"encoding/binary"
	"errors"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"siaran"
)

// h265Grammar reads RTP payloads of H265 without decoding order numbers (RFC 7798). It reads only the base layer of
// layered streams.
type h265Grammar struct{}

var errShort = errors.New("the parameter set is cut short")

func (h265Grammar) split(list []unit, payload []byte) []unit {
	if len(payload) < 3 || h265Layer(payload) != 0 {
		return list
	}
	switch number := h265Number(payload); h265.NALUType(number) {
	default:
		list = append(list, unit{number: number, body: payload[2:], whole: payload})
	case h265.NALUType_AggregationUnit:
		for rest := payload[2:]; len(rest) > 2; {
			size := int(binary.BigEndian.Uint16(rest))
			if rest = rest[2:]; size > len(rest) {
				return list
			}
			if size > 2 && h265Layer(rest) == 0 {
				list = append(list, unit{number: h265Number(rest), body: rest[2:size], whole: rest[:size]})
			}
			rest = rest[size:]
		}
	case h265.NALUType_FragmentationUnit:
		if payload[2]&0x80 != 0 {
			list = append(list, unit{number: payload[2] & 0x3f, body: payload[3:]})
		}
	case h265.NALUType_PACI:
	}
	return list
}

// place reads the temporal layer from the header of the payload, which has that of its NAL units (RFC 7798 section
// 4.4).
func (h265Grammar) place(payload []byte, units []unit) siaran.Place {
	if len(payload) < 2 || payload[1]&7 < 2 { // nuh_temporal_id_plus1
		return siaran.Place{}
	}
	place := siaran.Place{Temporal: payload[1]&7 - 1}
	for _, u := range units {
		t := h265.NALUType(u.number)
		place.SwitchUp = place.SwitchUp || t >= h265.NALUType_TSA_N && t <= h265.NALUType_STSA_R
	}
	return place
}

func h265Number(nal []byte) uint8 { return nal[0] >> 1 & 0x3f }
func h265Layer(nal []byte) uint8  { return nal[0]&1<<5 | nal[1]>>3 }

func (h265Grammar) kind(u unit) unitKind {
	switch t := h265.NALUType(u.number); {
	case t == h265.NALUType_VPS_NUT:
		return unitVPS
	case t == h265.NALUType_SPS_NUT:
		return unitSPS
	case t == h265.NALUType_PPS_NUT:
		return unitPPS
	case t == h265.NALUType_PREFIX_SEI_NUT:
		if isRecoveryPoint(u.body) {
			return unitRecovery
		}
	case t > h265.NALUType_RSV_IRAP_VCL23 || len(u.body) == 0 || u.body[0]&0x80 == 0: // not the first slice of its picture
	case t >= h265.NALUType_BLA_W_LP && t <= h265.NALUType_CRA_NUT:
		return unitKey
	default:
		return unitInter
	}
	return unitOther
}

// h265SliceFields is what parameter sets say about the fields of slice headers.
type h265SliceFields struct {
	skipped int  // of a PPS: bits before slice_type
	output  bool // of a PPS: pic_output_flag is present
	planes  bool // of an SPS: colour_plane_id is present
	count   int  // of an SPS: bits of slice_pic_order_cnt_lsb
}

// backward reads the picture order count (slice_pic_order_cnt_lsb, H.265 section 7.3.6.1). The slice type says nothing,
// because encoders that do not reorder frames use B slices too.
func (h265Grammar) backward(slice unit, needed setChain, order *pictureOrder) bool {
	t := h265.NALUType(slice.number)
	if t == h265.NALUType_IDR_W_RADL || t == h265.NALUType_IDR_N_LP {
		*order = pictureOrder{known: true}
		return false
	}
	if needed == nil {
		return false
	}
	sps, pps := needed[len(needed)-2].slices, needed[len(needed)-1].slices
	const longest = 32 // bytes of these fields
	r := bitReader{data: h264.EmulationPreventionRemove(slice.body[:min(len(slice.body), longest)])}
	r.read(1)
	key := h265Key(slice)
	if key {
		r.read(1)
	}
	r.golomb() // slice_pic_parameter_set_id
	r.read(pps.skipped)
	r.golomb() // slice_type
	if pps.output {
		r.read(1)
	}
	if sps.planes {
		r.read(2)
	}
	count := uint64(r.read(sps.count))
	if r.failed {
		return false
	}
	unused := 64 - sps.count
	if order.known && !key && int64((count-order.highest)<<unused) < 0 {
		return true
	}
	*order = pictureOrder{true, count}
	return false
}

// h265Key reports whether a slice belongs to a picture that needs no earlier one.
func h265Key(slice unit) bool {
	t := h265.NALUType(slice.number)
	return t >= h265.NALUType_BLA_W_LP && t <= h265.NALUType_RSV_IRAP_VCL23
}

// pps reads the first fields of a slice header (H.265 section 7.3.6.1).
func (h265Grammar) pps(slice unit) (id int, err error) {
	pos := 1 // first_slice_segment_in_pic_flag
	if h265Key(slice) {
		pos++ // no_output_of_prior_pics_flag
	}
	n, err := bits.ReadGolombUnsigned(slice.body, &pos)
	return int(n), err
}

func (h265Grammar) set(kind unitKind, u unit) (parameterSet, error) {
	set := parameterSet{key: setKey{kind: kind}, nal: u.whole}
	switch kind {
	case unitVPS: // H.265 section 7.3.2.1
		set.key.id = int(u.body[0] >> 4)
		return set, nil
	case unitPPS: // H.265 section 7.3.2.3.1
		r := bitReader{data: u.body}
		set.key.id, set.needs = r.golomb(), setKey{unitSPS, r.golomb()}
		if r.failed {
			return set, errShort
		}
		r.read(1) // dependent_slice_segments_enabled_flag
		set.slices.output = r.flag()
		set.slices.skipped = r.read(3) // num_extra_slice_header_bits
		return set, nil
	}
	var s h265.SPS
	// When the height is known, only fields after the size could not be read.
	if err := s.Unmarshal(u.whole); err != nil && s.PicHeightInLumaSamples == 0 {
		return set, err
	}
	set.key.id, set.needs = int(s.ID), setKey{unitVPS, int(s.VPSID)}
	set.width, set.height = s.Width(), s.Height()
	set.format = h265Format(&s.ProfileTierLevel, s.FPS())
	set.slices.planes, set.slices.count = s.SeparateColourPlaneFlag, int(s.Log2MaxPicOrderCntLsbMinus4&0xf)+4
	return set, nil
}

// aggregate makes an aggregation packet (RFC 7798 section 4.4.2).
func (h265Grammar) aggregate(nals [][]byte) []byte {
	const header, tid = uint8(h265.NALUType_AggregationUnit) << 1, 1
	b := []byte{header, tid}
	for _, nal := range nals {
		b = binary.BigEndian.AppendUint16(b, uint16(len(nal)))
		b = append(b, nal...)
	}
	return b
}
