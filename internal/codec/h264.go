package codec

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/bits"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

	"siaran"
)

// h264Grammar reads RTP payloads of H264 in packetization modes 0 and 1 (RFC 6184).
type h264Grammar struct{}

const (
	h264Prefix = 14
	h264STAPA  = 24
	h264FUA    = 28
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

// place reads the temporal layer from the prefix of a base layer's slice (H.264 section 7.3.1.1 and annex F). Without
// one, frames that no other needs count as a layer of their own: B-frames, and the higher of two temporal layers.
func (h264Grammar) place(payload []byte, units []unit) siaran.Place {
	for _, u := range units {
		header := payload[0] // of a fragment
		if u.whole != nil {
			header = u.whole[0]
		}
		spare := header&0x60 == 0 // nal_ref_idc
		switch number := u.number; {
		case number == h264Prefix && len(u.body) >= 3 && u.body[0]&0x80 != 0: // svc_extension_flag
			temporal := u.body[2] >> 5
			return siaran.Place{Temporal: temporal, SwitchUp: spare && temporal > 0}
		case number == 0 || number > uint8(h264.NALUTypeIDR):
		case spare:
			return siaran.Place{Temporal: 1, SwitchUp: true}
		default:
			return siaran.Place{}
		}
	}
	return siaran.Place{}
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
		return unitOther // not the first slice of its picture
	}
	if h264.NALUType(u.number) == h264.NALUTypeIDR {
		return unitKey
	}
	if kind, err := bits.ReadGolombUnsigned(u.body, &pos); err == nil && (kind%5 == 2 || kind%5 == 4) {
		return unitIntra
	}
	return unitInter
}

func (h264Grammar) backward(slice unit, _ setChain, _ *pictureOrder) bool { return h264B(slice.body) }

// H264BFrame reports whether a NAL unit is a slice of a B-frame, or its first fragment (H.264 section 7.4.3).
func H264BFrame(nal []byte) bool {
	if len(nal) == 0 {
		return false
	}
	number := h264.NALUType(nal[0] & 0x1f)
	return (number == h264.NALUTypeNonIDR || number == h264.NALUTypeDataPartitionA) && h264B(nal[1:])
}

func h264B(body []byte) bool {
	list, err := golombs(body[:min(len(body), 16)], 2)
	return err == nil && list[1]%5 == 1
}

// pps reads the third field of a slice header (H.264 section 7.3.3).
func (h264Grammar) pps(slice unit) (id int, err error) {
	list, err := golombs(slice.body, 3)
	return list[2], err
}

func (h264Grammar) set(kind unitKind, u unit) (parameterSet, error) {
	set := parameterSet{key: setKey{kind: kind}, nal: u.whole}
	if kind == unitPPS { // H.264 section 7.3.2.2
		list, err := golombs(u.body, 2)
		set.key.id, set.needs = list[0], setKey{unitSPS, list[1]}
		return set, err
	}
	var s h264.SPS
	// When the height is known, only fields after the size could not be read.
	if err := s.Unmarshal(u.whole); err != nil && s.PicHeightInMapUnitsMinus1 == 0 {
		return set, err
	}
	set.key.id, set.width, set.height = int(s.ID), s.Width(), s.Height()
	set.format = h264Format([3]byte(u.whole[1:4]), s.FPS())
	return set, nil
}

// aggregate makes a STAP-A (RFC 6184 section 5.7.1).
func (h264Grammar) aggregate(nals [][]byte) []byte {
	b := []byte{h264STAPA}
	for _, nal := range nals {
		b[0] = max(b[0], nal[0]&0x60|h264STAPA) // NRI is the highest of all units
		b = binary.BigEndian.AppendUint16(b, uint16(len(nal)))
		b = append(b, nal...)
	}
	return b
}
