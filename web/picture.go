package web

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
	"github.com/pion/rtp/codecs"

	"siaran"
	"siaran/internal/codec"
)

const maxPicture = 4 << 20 // bytes

// picture is a key frame in the form that WebCodecs decoders accept: H264 and H265 in Annex B form, AV1 as a
// low-overhead bitstream, VP8 and VP9 as one frame. It never changes.
type picture struct {
	broadcast siaran.BroadcastID
	rid       string // and not the layer itself, which would keep its packets in memory
	first     int64  // sequence number of its first packet
	body      []byte
	codec     string // of the WebCodecs codec registry
	tag       string
}

// depacketizer joins the payloads of one frame, given in order.
type depacketizer interface {
	Unmarshal(payload []byte) ([]byte, error)
}

func newDepacketizer(codec siaran.CodecName) depacketizer {
	switch codec {
	case siaran.H264:
		return &codecs.H264Packet{}
	case siaran.H265:
		return &codecs.H265Depacketizer{}
	case siaran.AV1:
		return &codecs.AV1Depacketizer{}
	case siaran.VP9:
		return &codecs.VP9Packet{}
	case siaran.VP8:
		return &codecs.VP8Packet{}
	}
	return nil
}

// assemble joins the packets of the frame that begins at first: all with its timestamp, because some encoders set the
// marker inside frames. The frame is not whole while packets are still to come, and broken if it never will be.
func assemble(layer *siaran.Layer, first int64) (frame []byte, whole, broken bool) {
	joiner := newDepacketizer(layer.Codec().Name)
	start := layer.Get(first)
	if joiner == nil || start == nil {
		return nil, false, true
	}
	ended := false
	for seq := first; seq < layer.Head(); seq++ {
		p := layer.Get(seq)
		if p != nil && p.Timestamp != start.Timestamp || p == nil && ended {
			ended = true
			break
		}
		if p == nil {
			return nil, false, true
		}
		part, err := joiner.Unmarshal(p.Payload)
		if err != nil || len(frame)+len(part) > maxPicture {
			return nil, false, true
		}
		frame = append(frame, part...)
		ended = p.FrameEnd
	}
	if !ended {
		return nil, false, false
	}
	return frame, len(frame) > 0, len(frame) == 0
}

// codecString names the codec of a frame for WebCodecs. It is empty if the frame does not say.
func codecString(codec siaran.CodecName, frame []byte) string {
	switch codec {
	case siaran.VP8:
		return "vp8"
	case siaran.VP9:
		var h vp9.Header
		if h.Unmarshal(frame) != nil || h.ColorConfig == nil {
			return ""
		}
		return fmt.Sprintf("vp09.%02d.10.%02d", h.Profile, h.ColorConfig.BitDepth)
	case siaran.AV1:
		return av1String(frame)
	case siaran.H264:
		return h264String(frame)
	case siaran.H265:
		return h265String(frame)
	}
	return ""
}

// h264String is "avc1" with profile, constraints and level of the first SPS (RFC 6381 section 3.3).
func h264String(frame []byte) string {
	for _, unit := range annexB(frame) {
		if len(unit) >= 4 && unit[0]&0x1f == 7 {
			return fmt.Sprintf("avc1.%02x%02x%02x", unit[1], unit[2], unit[3])
		}
	}
	return ""
}

// h265String is "hev1" with what the first SPS says (ISO/IEC 14496-15 annex E.3).
func h265String(frame []byte) string {
	for _, unit := range annexB(frame) {
		if len(unit) < 2 || unit[0]>>1&0x3f != 33 {
			continue
		}
		sps := h264.EmulationPreventionRemove(unit) // the same in H265
		if len(sps) < 15 {
			return ""
		}
		level := sps[3:15] // profile_tier_level (H.265 section 7.3.3)
		space := []string{"", "A", "B", "C"}[level[0]>>6]
		tier := "L"
		if level[0]&0x20 != 0 {
			tier = "H"
		}
		compatibility := bits.Reverse32(binary.BigEndian.Uint32(level[1:]))
		text := fmt.Sprintf("hev1.%s%d.%X.%s%d", space, level[0]&0x1f, compatibility, tier, level[11])
		constraints := ""
		for _, b := range level[5:11] {
			constraints += fmt.Sprintf(".%X", b)
		}
		for strings.HasSuffix(constraints, ".0") {
			constraints = strings.TrimSuffix(constraints, ".0")
		}
		return text + constraints
	}
	return ""
}

// annexB returns the NAL units between start codes.
func annexB(frame []byte) [][]byte {
	var units h264.AnnexB
	if units.Unmarshal(frame) != nil {
		return nil
	}
	return units
}

// av1String is "av01" with what the sequence header says (AV1 in ISOBMFF, section 5).
func av1String(frame []byte) string {
	var units av1.Bitstream
	if units.Unmarshal(frame) != nil {
		return ""
	}
	for _, unit := range units {
		h, ok := codec.ParseAV1Sequence(unit)
		if !ok {
			continue
		}
		tier := "M"
		if h.HighTier {
			tier = "H"
		}
		return fmt.Sprintf("av01.%d.%02d%s.%02d", h.Profile, h.Level, tier, h.BitDepth)
	}
	return ""
}
