package egress

import (
	"encoding/binary"
	"time"

	"siaran"
)

func (t *track) send(w *worker, l *link, p *siaran.Packet, edge int64, now time.Time) {
	how := sentPacket{marker: p.Marker}
	if !t.asItIs {
		how.pad = t.shared.padding(p.Seq)
	}
	begins := p.Timestamp != t.time.in // this is a frame's first packet
	how.timestamp = uint32(t.time.at(p.Timestamp, edge))
	out := t.assign(p, &how)
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
	how.ids = s.ids.at(s.codec, p)
	if p.LayerEnd && !p.Marker {
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
	if tells || stamped || how.numbered {
		t.extend(room, tells, stamped, how)
	}
	payload := p.Payload
	if how.pad > 0 || how.ids.rewritten {
		head := headerLength(room)
		payload = append(room[head:head], payload...)
		if how.ids.rewritten {
			pictureFieldsOf(t.sel.codec, payload).write(payload, how.ids)
		}
		payload = padded(room, payload, int(how.pad))
	}
	return l.send(w.batch, room, payload, seq)
}

// extend writes a packet's header extensions.
func (t *track) extend(room []byte, tells, stamped bool, how *sentPacket) {
	e := extensions{b: room}
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
