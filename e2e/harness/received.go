package harness

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

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
	came      time.Time
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

func (t *receivedTrack) add(p *rtp.Packet) {
	n := t.sequence.Unwrap(p.SequenceNumber)
	if t.packets[n] != nil {
		return
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
	f := Frame{Timestamp: p.Timestamp, came: time.Now()}
	if data := t.partial; len(data) > 14 {
		f.Key = data[0]&1 == 0
		at := 3
		if f.Key {
			at = 10
		}
		f.Number = int(binary.BigEndian.Uint32(data[at:]))
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

// settled is how many frames at the end of a list must have the usual distance in time. Those at the start are closer
// together on purpose: a viewer is brought from the cached key frame to the live edge.
const settled = 10

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
		if got := f.Timestamp - before.Timestamp; got == 0 || got > 25*step || got != step && i > len(list)-settled {
			return fmt.Errorf("frame %d of %d is %d timestamp units after the one before, want %d",
				f.Number, len(list), got, step)
		}
	}
	return nil
}
