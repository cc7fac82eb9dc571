package siaran

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// h265Grammar reads RTP payloads of H265 without decoding order numbers (RFC 7798). Of layered
// streams only the base layer is looked at.
type h265Grammar struct{}

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

func (h265Grammar) sps(nal []byte) (id, width, height int, err error) {
	var s h265.SPS
	if err := s.Unmarshal(nal); err != nil && s.PicHeightInLumaSamples == 0 { // else only what follows the size is strange
		return 0, 0, 0, err
	}
	return int(s.ID), s.Width(), s.Height(), nil
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
