package bench

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/webrtc/v3"
)

const (
	soundEvery = 20 * time.Millisecond
	soundBytes = 80 // of an Opus packet: 32 kbit/s
)

// send writes frames and audio at their times until ctx ends. The packets of a frame are sent in one burst, as encoders
// do.
func (p *publisher) send(ctx context.Context) {
	every := max(int(p.cfg.KeyframeInterval.Seconds()*float64(p.cfg.FPS)+0.5), 1)
	v := &videoTrack{
		publisher: p, picture: newPicture(p.cfg.Bitrate, p.cfg.FPS, every), every: every,
		track: newTrack(p.video, 90000), sets: parameterSets(),
	}
	sound := newTrack(p.audio, 48000)
	packet := silence()
	begun := time.Now()
	nextFrame, nextSound := time.Duration(0), time.Duration(0)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for frame := 1; ; {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		now := time.Since(begun)
		p.mu.Lock()
		if now >= nextFrame {
			if !p.paused {
				v.frame(now)
			}
			nextFrame = time.Duration(frame) * time.Second / time.Duration(p.cfg.FPS)
			frame++
		}
		if now >= nextSound {
			if !p.paused && sound.write(packet, now, false) {
				p.sent.audio++
			}
			nextSound += soundEvery
		}
		p.mu.Unlock()
		timer.Reset(min(nextFrame, nextSound) - time.Since(begun))
	}
}

// silence is a packet of Opus silence (RFC 6716 section 3.2.5: code 3, padded to its size).
func silence() []byte {
	b := make([]byte, soundBytes)
	copy(b, []byte{0xfb, 0x41, soundBytes - 5, 0xff, 0xfe}) // 20 ms of CELT; one frame and padding
	return b
}

// track numbers the packets of a track and gives them their timestamps.
type track struct {
	local  *webrtc.TrackLocalStaticRTP
	header rtp.Header
	base   uint32
	clock  float64
}

func newTrack(local *webrtc.TrackLocalStaticRTP, clock float64) *track {
	return &track{
		local:  local,
		header: rtp.Header{Version: 2, SequenceNumber: uint16(rand.Uint32())},
		base:   rand.Uint32(),
		clock:  clock,
	}
}

// write sends a payload and reports whether that succeeded.
func (t *track) write(payload []byte, at time.Duration, marker bool) bool {
	t.header.Timestamp = t.base + uint32(uint64(at.Seconds()*t.clock))
	t.header.Marker = marker
	err := t.local.WriteRTP(&rtp.Packet{Header: t.header, Payload: payload})
	t.header.SequenceNumber++
	return err == nil
}

// videoTrack sends the frames of the synthetic picture.
type videoTrack struct {
	*track
	publisher *publisher
	picture   *picture
	sets      []byte
	every     int // frames from one key frame to the next
	since     int // frames since the last one
	begun     bool
	lastKey   time.Duration
}

// frame sends one frame. The caller holds the publisher's lock.
func (v *videoTrack) frame(now time.Duration) {
	p := v.publisher
	asked := p.wanted.Load() && !p.cfg.IgnorePLI && now-v.lastKey >= minKeyGap
	key := !v.begun || v.since >= v.every || asked
	if key {
		v.begun, v.since, v.lastKey = true, 0, now
		p.wanted.Store(false)
		p.sent.keyframes++
	}
	v.since++
	slices := v.picture.next(key)
	if key {
		v.stamped(append(append([]byte(nil), v.sets...), v.stampUnit()...), len(v.sets)+stampUnitHeader, now, false)
	}
	for i, s := range slices {
		v.stamped(s.nal, s.stampAt, now, i == len(slices)-1)
	}
}

// stampUnitHeader is the bytes before the stamp in its unit: size, kind, and the header of the message.
const stampUnitHeader = 2 + 1 + 2 + 16

// stampUnit is an extra unit for the packet with the parameter sets: a supplemental message of unregistered user data
// (H.264 section D.1.7) with room for a stamp. Decoders skip it.
func (v *videoTrack) stampUnit() []byte {
	b := []byte{0, 1 + 2 + 16 + stampSize + 1, 0x06, 5, 16 + stampSize}
	b = append(b, "siaran bench stm"...)
	b = append(b, make([]byte, stampSize)...)
	return append(b, 0x80)
}

func (v *videoTrack) stamped(payload []byte, at int, now time.Duration, marker bool) {
	p := v.publisher
	p.stamper.put(payload[at:], p.sent.video, p.stamper.now())
	if v.write(payload, now, marker) {
		p.sent.video++
	}
}
