package egress

import (
	"encoding/binary"
	"time"

	"siaran"
)

// recall returns what was sent under an index, and how.
func (t *track) recall(out int64) (p *siaran.Packet, how sentPacket) {
	if t.log != nil {
		var known bool
		if how, known = t.log.find(out); !known {
			return nil, how
		}
	}
	if t.sel != nil {
		layer := t.Layers[how.layer]
		head := layer.Head()
		return layer.Get(head + int64(int32(how.in-uint32(head)))), how
	}
	layer, in, ok := t.seq.find(out)
	if !ok {
		return nil, how
	}
	if p = layer.Get(in); p != nil && t.log == nil {
		how.timestamp, how.marker = uint32(t.time.sent(p.Timestamp)), p.Marker
	}
	return p, how
}

// resend answers a negative acknowledgement (RFC 4585 section 6.2.1), by RTX (RFC 4588) if it was negotiated.
func (t *track) resend(w *worker, l *link, number uint16, now time.Time) {
	out, ok := t.seq.expand(number)
	if !ok {
		return
	}
	t.missed = now
	p, how := t.recall(out)
	if p == nil || t.useless(&how) || !t.repair.take(now, out, t.roundTrip, t.sent) {
		w.stats.unrepaired.Add(1)
		return
	}
	if t.RTXPayloadType == 0 {
		if t.put(w, l, out, p, &how, false) == nil {
			w.stats.repaired.Add(1)
		}
		return
	}
	if t.putRTX(w, l, out, p, &how, now) == nil {
		w.stats.repaired.Add(1)
	}
}

// useless reports whether a repair would only lengthen the queue: while the picture waits for the queue to drain, and
// once a smaller layer is wanted or another one is sent.
func (t *track) useless(how *sentPacket) bool {
	return t.sel != nil && (t.sel.paused || how.layer != t.index || t.descends())
}

// putRTX sends a packet again by RTX.
func (t *track) putRTX(w *worker, l *link, out int64, p *siaran.Packet, how *sentPacket, now time.Time) error {
	room := w.batch.Room()
	t.head(room, t.RTXPayloadType, t.RTXSSRC, t.rtxSeq, how.timestamp, how.marker)
	e, original, apart := extensions{b: room}, p.Payload, t.apart(p)
	if apart != nil {
		t.describe(&e, apart, how)
		original = apart.Payload
	}
	if t.estimate != nil && len(p.Payload) <= extensionRoom {
		t.mark(&e, t.estimate.Sent(now, headerSize+8+2+len(p.Payload)+packetOverhead), now)
	}
	e.finish()
	head := headerLength(room)
	payload := binary.BigEndian.AppendUint16(room[head:head], uint16(out))
	payload = append(payload, original...)
	if how.ids.rewritten && apart == nil {
		pictureFieldsOf(t.sel.codec, payload[2:]).write(payload[2:], how.ids)
	}
	t.rtxSeq++
	return l.send(w.batch, room, payload, t.rtxSeq-1)
}
