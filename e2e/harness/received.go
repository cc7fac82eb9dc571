package harness

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"

	"siaran"
)

// Frame is one frame of video or audio that a viewer has received.
type Frame struct {
	Number    int
	Key       bool
	Timestamp uint32 // of RTP
	whole     bool   // its bytes are those that were sent
}

// receivedTrack puts frames together as packets arrive, so that a test can look at them often.
type receivedTrack struct {
	kind     webrtc.RTPCodecType
	sequence siaran.Unwrapper16
	packets  map[int64]*rtp.Packet // by extended sequence number
	reports  []*rtcp.SenderReport

	first, next int64 // extended sequence numbers: of the first packet, and of the one that is waited for
	frames      []Frame
	partial     []byte // of the frame that next belongs to
	headless    bool   // the first packet is not the start of a frame: an earlier one is missing
	err         error
}

func newReceivedTrack(kind webrtc.RTPCodecType) *receivedTrack {
	return &receivedTrack{kind: kind, packets: make(map[int64]*rtp.Packet)}
}

// add takes a packet and returns its extended sequence number.
func (t *receivedTrack) add(p *rtp.Packet) int64 {
	n := t.sequence.Unwrap(p.SequenceNumber)
	if t.packets[n] != nil {
		return n
	}
	if len(t.packets) == 0 || n < t.first { // packets may arrive out of order
		t.first, t.next = n, n
		t.frames, t.partial, t.headless = nil, nil, false
	}
	t.packets[n] = p
	for p := t.packets[t.next]; p != nil; p = t.packets[t.next] {
		t.next++
		if t.kind == webrtc.RTPCodecTypeVideo {
			t.video(p)
		} else {
			t.audio(p)
		}
	}
	return n
}

// pictureIn reads the number of the picture that a packet begins.
func pictureIn(kind webrtc.RTPCodecType, p *rtp.Packet) (number int, key, ok bool) {
	var d codecs.VP8Packet
	if kind != webrtc.RTPCodecTypeVideo {
		return 0, false, false
	}
	data, err := d.Unmarshal(p.Payload)
	if err != nil || d.S != 1 || d.PID != 0 || len(data) <= 14 {
		return 0, false, false
	}
	number, key = numberOf(data)
	return number, key, true
}

// numberOf reads what VideoFrame has written.
func numberOf(data []byte) (number int, key bool) {
	at := 3
	if key = data[0]&1 == 0; key {
		at = 10
	}
	return int(binary.BigEndian.Uint32(data[at:])), key
}

func (t *receivedTrack) video(p *rtp.Packet) {
	var d codecs.VP8Packet
	part, err := d.Unmarshal(p.Payload)
	switch {
	case err != nil:
		t.err = err
		return
	case t.headless:
		return
	case d.S == 1 && d.PID == 0:
		t.partial = nil
	case len(t.frames) == 0 && t.partial == nil:
		t.headless = true
		return
	}
	t.partial = append(t.partial, part...)
	if !p.Marker {
		return
	}
	f := Frame{Timestamp: p.Timestamp}
	if data := t.partial; len(data) > 14 {
		f.Number, f.Key = numberOf(data)
		f.whole = slices.Equal(data, VideoFrame(f.Number, f.Key, len(data)))
	}
	t.frames = append(t.frames, f)
	t.partial = nil
}

func (t *receivedTrack) audio(p *rtp.Packet) {
	if len(p.Payload) <= 5 {
		return
	}
	n := int(binary.BigEndian.Uint32(p.Payload[1:]))
	t.frames = append(t.frames, Frame{
		Number: n, Timestamp: p.Timestamp, whole: slices.Equal(p.Payload, AudioFrame(n)),
	})
}

const (
	// settled is how many frames at the end of a list must have the usual distance in time. Those at the start are closer
	// together on purpose: a viewer is brought from the cached key frame to the live edge.
	settled = 10
	// furthest is the longest distance in time, in frames: that from there to the live edge, when a busy machine has kept
	// the viewer waiting.
	furthest = 3000
)

// CheckConsecutive reports the first frame that is damaged, out of order, or not step timestamp units after the one
// before it.
func CheckConsecutive(list []Frame, step uint32) error {
	for i, f := range list {
		if !f.whole {
			return fmt.Errorf("frame %d is not as it was sent", f.Number)
		}
		if i == 0 {
			continue
		}
		before := list[i-1]
		if f.Number != before.Number+1 {
			return fmt.Errorf("frame %d comes after %d", f.Number, before.Number)
		}
		if got := f.Timestamp - before.Timestamp; got == 0 || got > furthest*step || got != step && i > len(list)-settled {
			return fmt.Errorf("frame %d of %d is %d timestamp units after the one before, want %d",
				f.Number, len(list), got, step)
		}
	}
	return nil
}
