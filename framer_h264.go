package siaran

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// h264Grammar reads RTP payloads of H264 in the packetization modes 0 and 1 (RFC 6184).
type h264Grammar struct{}

const (
	h264STAPA = 24
	h264FUA   = 28
)

func (h264Grammar) split(list []unit, payload []byte) []unit {
	if len(payload) < 2 {
		return list
	}
	switch number := payload[0] & 0x1f; {
	case number > 0 && number < h264STAPA:
		list = append(list, unit{number: number, body: payload[1:], whole: payload})
	case number == h264STAPA:
		for rest := payload[1:]; len(rest) > 2; {
			size := int(binary.BigEndian.Uint16(rest))
			if rest = rest[2:]; size > len(rest) {
				return list
			}
			if size > 1 {
				list = append(list, unit{number: rest[0] & 0x1f, body: rest[1:size], whole: rest[:size]})
			}
			rest = rest[size:]
		}
	case number == h264FUA && payload[1]&0x80 != 0:
		list = append(list, unit{number: payload[1] & 0x1f, body: payload[2:]})
	}
	return list
}

func (h264Grammar) kind(u unit) unitKind {
	switch h264.NALUType(u.number) {
	case h264.NALUTypeSPS:
		return unitSPS
	case h264.NALUTypePPS:
		return unitPPS
	case h264.NALUTypeSEI:
		if isRecoveryPoint(u.body) {
			return unitRecovery
		}
	case h264.NALUTypeIDR, h264.NALUTypeNonIDR, h264.NALUTypeDataPartitionA:
		return h264Slice(u)
	}
	return unitOther
}

// h264Slice reads the first two fields of a slice header (H.264 section 7.3.3).
func h264Slice(u unit) unitKind {
	pos := 0
	first, err := bits.ReadGolombUnsigned(u.body, &pos)
	if err != nil || first != 0 {
		return unitOther // a further slice of its picture
	}
	if h264.NALUType(u.number) == h264.NALUTypeIDR {
		return unitKey
	}
	if kind, err := bits.ReadGolombUnsigned(u.body, &pos); err == nil && (kind%5 == 2 || kind%5 == 4) {
		return unitIntra
	}
	return unitInter
}

func (h264Grammar) sps(nal []byte) (id, width, height int, err error) {
	var s h264.SPS
	if err := s.Unmarshal(nal); err != nil && s.PicHeightInMapUnitsMinus1 == 0 { // else only what follows the size is strange
		return 0, 0, 0, err
	}
	return int(s.ID), s.Width(), s.Height(), nil
}

// aggregate makes a STAP-A (RFC 6184 section 5.7.1).
func (h264Grammar) aggregate(nals [][]byte) []byte {
	b := []byte{h264STAPA}
	for _, nal := range nals {
		b[0] = max(b[0], nal[0]&0x60|h264STAPA) // NRI is the highest of all
		b = binary.BigEndian.AppendUint16(b, uint16(len(nal)))
		b = append(b, nal...)
	}
	return b
}
