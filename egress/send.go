package egress

import (
	"encoding/binary"
	"time"

	"siaran"
	"siaran/internal/codec"
)

func (t *track) send(w *worker, l *link, p *siaran.Packet, edge int64, now time.Time) {
	how := sentPacket{marker: p.Marker}
	if !t.asItIs {
		how.pad = t.shared.padding(p.Seq)
	}
	begins := p.Timestamp != t.time.in // this is a frame's first packet
	if t.sel != nil && t.cut && begins && p.Keyframe {
		t.sel.lost = true
	}
	how.timestamp = uint32(t.time.at(p.Timestamp, edge))
	out := t.assign(p, &how)
	t.cut = t.Kind == siaran.KindVideo && !p.FrameEnd && !how.marker
	if t.estimate != nil && len(p.Payload)+int(how.pad) <= extensionRoom {
		size := headerSize + 8 + len(p.Payload) + int(how.pad) + packetOverhead
		how.number, how.numbered = t.estimate.Sent(now, size), t.NumberID != 0
	}
	if t.log != nil {
		t.log.keep(out, &how)
	}
	if t.StampID != 0 {
		t.now = now
	}
	if t.put(w, l, out, p, &how, begins) != nil {
		w.stats.failed.Add(1)
		return
	}
	if p.Keyframe {
		t.wanted = time.Time{}
	}
	t.packets++
	t.octets += uint32(len(p.Payload))
	t.sent++
	w.packets++
	w.bytes += uint64(headerSize + len(p.Payload) + int(how.pad))
}

// assign returns the index with which a packet goes out.
func (t *track) assign(p *siaran.Packet, how *sentPacket) int64 {
	if t.sel == nil {
		return t.seq.assign(p.Seq)
	}
	s := t.sel
	if s.lost {
		t.seq.next++ // so that the viewer sees it
		s.lost = false
	}
	out := t.seq.next
	t.seq.next++
	how.in, how.layer = uint32(p.Seq), t.index
	if p.Apart != nil && !s.whole {
		how.ids = s.ids.described(p)
		how.spatial, how.temporal = s.gets(p)
	} else {
		how.ids = s.ids.at(s.codec, p)
	}
	if s.place(p).LayerEnd && !p.Marker {
		how.marker = s.ends(p, t.layer.Get(p.Seq+1))
	}
	return out
}

// put sends a packet with padding at its end (RFC 3550 section 5.1), if there is to be some. begins: it is the first of
// its frame.
func (t *track) put(w *worker, l *link, seq int64, p *siaran.Packet, how *sentPacket, begins bool) error {
	room := w.batch.Room()
	t.head(room, t.PayloadType, t.SSRC, seq, how.timestamp, how.marker)
	fits := len(p.Payload)+int(how.pad) <= extensionRoom
	tells, stamped := fits && begins && t.hold.told && t.HoldID != 0, fits && t.StampID != 0
	payload, apart := p.Payload, t.apart(p)
	if tells || stamped || how.numbered || apart != nil {
		t.extend(room, tells, stamped, apart, how)
	}
	if apart != nil {
		payload = apart.Payload
	}
	if how.pad > 0 || how.ids.rewritten {
		head := headerLength(room)
		payload = append(room[head:head], payload...)
		if how.ids.rewritten && apart == nil {
			pictureFieldsOf(t.sel.codec, payload).write(payload, how.ids)
		}
		payload = padded(room, payload, int(how.pad))
	}
	return l.send(w.batch, room, payload, seq)
}

// apart is how a packet goes out if the viewer takes its descriptor, else nil.
func (t *track) apart(p *siaran.Packet) *siaran.Apart {
	if t.DescriptorID == 0 {
		return nil
	}
	return p.Apart
}

// describe writes a packet's descriptor, before all other header extensions.
func (t *track) describe(e *extensions, a *siaran.Apart, how *sentPacket) {
	b := a.Descriptor
	if t.sel != nil { // children get everything as it is
		var room [codec.MostDescriptor]byte
		b = codec.AppendDescriptor(room[:0], a, how.ids.picture, how.spatial, how.temporal)
	}
	e.wide = len(b) > narrowMost
	copy(e.add(t.DescriptorID, len(b)), b)
}

// extend writes a packet's header extensions.
func (t *track) extend(room []byte, tells, stamped bool, apart *siaran.Apart, how *sentPacket) {
	e := extensions{b: room}
	if apart != nil {
		t.describe(&e, apart, how)
	}
	if tells {
		t.hold.write(&e, t.HoldID)
	}
	if how.numbered {
		binary.BigEndian.PutUint16(e.add(t.NumberID, 2), how.number)
	}
	if stamped {
		e.stamp(t.StampID, t.now)
	}
	e.finish()
}

// padded adds pad bytes of padding to the payload, which is in room, after the header.
func padded(room, payload []byte, pad int) []byte {
	if pad == 0 {
		return payload
	}
	room[0] |= 1 << 5
	payload = append(payload, zeros[:pad-1]...)
	return append(payload, byte(pad))
}

var zeros [255]byte

// head writes a packet's header.
func (t *track) head(b []byte, payloadType uint8, ssrc uint32, seq int64, timestamp uint32, marker bool) {
	b[0] = 2 << 6
	b[1] = payloadType
	if marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], uint16(seq))
	binary.BigEndian.PutUint32(b[4:], timestamp)
	binary.BigEndian.PutUint32(b[8:], ssrc)
}
