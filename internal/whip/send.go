package whip

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
)

// maxPayload keeps packets under 1200 bytes of UDP payload, encryption and header extensions included.
const maxPayload = 1140

// sender turns frames of one track into RTP packets.
type sender struct {
	local     *webrtc.TrackLocalStaticRTP
	payloader rtp.Payloader
	clock     uint32 // units a second
	audio     bool
	most      uint16 // bytes of a payload, at most
	base      uint32 // of the timestamps; random (RFC 3550 section 5.1)
	sequence  uint16
	begun     bool
}

func newSender(codec webrtc.RTPCodecCapability, payload int) (*sender, error) {
	kind, name, _ := strings.Cut(codec.MimeType, "/")
	local, err := webrtc.NewTrackLocalStaticRTP(codec, kind, "siaran")
	if err != nil {
		return nil, err
	}
	t := &sender{
		local: local, clock: codec.ClockRate, audio: kind == "audio", most: uint16(cmp.Or(payload, maxPayload)),
		base: rand.Uint32(), sequence: uint16(rand.Uint32()),
	}
	switch strings.ToUpper(name) {
	case "VP8":
		t.payloader = &codecs.VP8Payloader{EnablePictureID: true}
	case "VP9":
		t.payloader = &codecs.VP9Payloader{}
	case "AV1":
		t.payloader = &codecs.AV1Payloader{}
	case "H264":
		t.payloader = &codecs.H264Payloader{}
	case "OPUS":
		t.payloader = &codecs.OpusPayloader{}
	default:
		return nil, fmt.Errorf("codec %s cannot be sent", codec.MimeType)
	}
	return t, nil
}

// parameters returns a codec with its payload type in our offers.
func parameters(codec webrtc.RTPCodecCapability, index int) (webrtc.RTPCodecParameters, webrtc.RTPCodecType, error) {
	kind := webrtc.NewRTPCodecType(strings.SplitN(codec.MimeType, "/", 2)[0])
	if kind == 0 {
		return webrtc.RTPCodecParameters{}, 0, fmt.Errorf("codec %s cannot be sent", codec.MimeType)
	}
	codec.RTCPFeedback = []webrtc.RTCPFeedback{{Type: "nack"}}
	if kind == webrtc.RTPCodecTypeVideo {
		codec.RTCPFeedback = []webrtc.RTCPFeedback{
			{Type: "nack"}, {Type: "nack", Parameter: "pli"}, {Type: "ccm", Parameter: "fir"},
		}
	}
	return webrtc.RTPCodecParameters{RTPCodecCapability: codec, PayloadType: webrtc.PayloadType(96 + index)}, kind, nil
}

// Write sends a frame of the track with that index in Config.Tracks. at is its time on a clock that all tracks share.
// Frames of a track must come in order.
func (s *Session) Write(track int, frame []byte, at time.Duration) error {
	t := s.senders[track]
	payloads := t.payloader.Payload(t.most, frame)
	timestamp := t.base + uint32(uint64(at.Seconds()*float64(t.clock)+0.5))
	for i, payload := range payloads {
		p := rtp.Packet{Payload: payload, Header: rtp.Header{
			Version: 2, SequenceNumber: t.sequence, Timestamp: timestamp,
			Marker: !t.audio && i == len(payloads)-1 || t.audio && !t.begun, // a talkspurt begins (RFC 3551 section 4.1)
		}}
		t.sequence++
		t.begun = true
		if err := t.local.WriteRTP(&p); err != nil {
			return fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	return nil
}
