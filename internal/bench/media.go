package bench

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"
)

// protected takes an SRTP or SRTCP packet (RFC 5761 tells them apart). The caller holds v.mu.
func (v *viewer) protected(b []byte, now time.Duration) {
	if len(b) < 12 {
		return
	}
	if b[1] >= 192 && b[1] <= 223 {
		v.control(b, now)
		return
	}
	v.media++
	if sequence := binary.BigEndian.Uint16(b[2:]); v.sampled && sequence%sampleOf != 0 {
		return // it was in the socket's queue before the filter was set
	}
	plain, err := v.in.DecryptRTP(v.plain, b, &v.header)
	if err != nil {
		v.audience.undecryptable.Add(1)
		return
	}
	size := v.header.MarshalSize()
	if size > len(plain) {
		return
	}
	s := v.source()
	if s == nil {
		return
	}
	v.packet(s, plain[size:], now)
}

// source returns the state of the packet's SSRC, or nil if there are too many.
func (v *viewer) source() *source {
	s := v.sources[v.header.SSRC]
	if s == nil {
		if len(v.sources) == maxSources {
			return nil
		}
		s = &source{codec: v.answer.formats[v.header.PayloadType]}
		v.sources[v.header.SSRC] = s
	}
	return s
}

func (v *viewer) packet(s *source, payload []byte, now time.Duration) {
	n := s.sequence.number(v.header.SequenceNumber)
	if s.tally != nil {
		s.tally.mark(n)
	}
	if s.codec == "RTX" {
		v.audience.repairs.Add(1)
		return
	}
	if counter, sent, ok := v.audience.stamper.find(payload); ok {
		if v.stamps != nil {
			v.stamps.mark(counter)
		}
		switch {
		case v.audience.measuring.Load():
			v.audience.latency.add(now - sent)
			v.place.latency.add(now - sent)
		case v.reads && v.audience.joining.Load():
			v.audience.meanwhile.add(now - sent)
		}
	}
	if v.started > 0 {
		return
	}
	if isVideo(s.codec) && v.whole.see(s.codec, n, v.header.Timestamp, v.header.Marker, payload) || !v.answer.video {
		v.start(now)
	}
}

// start is called for the last packet of the first key frame, or for the first packet of a stream without video.
func (v *viewer) start(now time.Duration) {
	v.started = now - v.posted
	v.whole = firstKeyframe{}
	if !v.reads {
		v.sampled = true
		v.socket.sample(v.relay != nil)
	}
	close(v.key)
}

// control notes sender reports.
func (v *viewer) control(b []byte, now time.Duration) {
	plain, err := v.in.DecryptRTCP(nil, b, nil)
	if err != nil {
		v.audience.undecryptable.Add(1)
		return
	}
	packets, err := rtcp.Unmarshal(plain)
	if err != nil {
		return
	}
	for _, p := range packets {
		if sr, ok := p.(*rtcp.SenderReport); ok {
			if s := v.sources[sr.SSRC]; s != nil {
				s.lastSR, s.srAt = uint32(sr.NTPTime>>16), now
			}
		}
	}
}

// measure opens the spans of a reader. stamp is the first one that counts.
func (v *viewer) measure(stamp int64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.stamps = newTally(stamp)
	v.noRoom = v.socket.dropped()
	for _, s := range v.sources {
		s.tally = newTally(s.sequence.last + 1)
	}
}

// outcome is what a reader received in the measured time.
type outcome struct {
	expected, seen        uint64 // by RTP sequence numbers
	published, seenStamps uint64 // video packets, by their stamps
	noRoom                uint64 // packets that arrived when the socket's buffer was full
}

// measured closes the spans. stamp is the first one that no longer counts.
func (v *viewer) measured(stamp int64) (o outcome) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.stamps == nil {
		return o
	}
	v.stamps.close(stamp)
	o.published, o.seenStamps = v.stamps.result()
	o.noRoom = v.socket.dropped() - v.noRoom
	for _, s := range v.sources {
		if s.tally != nil {
			s.tally.close(s.sequence.last + 1)
			expected, seen := s.tally.result()
			o.expected += expected
			o.seen += seen
		}
	}
	return o
}
