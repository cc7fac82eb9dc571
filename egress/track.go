package egress

import (
	"encoding/binary"
	"time"

	"siaran"
)

const (
	headerSize = 12
	// A viewer at the live edge that is further behind than this goes on from the next key frame.
	maxBehind = 512 // packets
	// When the cached group of pictures is older than this, a new viewer's start is worth a key frame.
	oldGroup = 3 * time.Second
	// How long a broadcaster has to answer a viewer's wish for a key frame before the cached one is sent again.
	answerTime = 400 * time.Millisecond
	// How often at most the cached key frame is sent to a viewer again.
	restartInterval = 2 * time.Second
	// A layer that is silent for this long is left for another one of its track.
	silentLayer = time.Second
)

// track is what one viewer gets of one track. It belongs to the viewer's worker.
type track struct {
	plan
	layer    *siaran.Layer
	feed     *followed // of the layer
	cursor   int64     // the layer's next packet for this viewer; below 0: waits for a key frame
	catching bool      // behind the live edge, paced
	opening  bool      // the key frame a start begins with has not gone out whole
	pacer    pacer

	seq    sequencer
	time   timeline
	rtxSeq int64 // the next one, without wraps
	past   past  // nil: repairs go by RTX
	repair repairBudget
	// As the newest receiver report shows it (RFC 3550 section 6.4.1), 0 when it does not.
	roundTrip time.Duration

	packets, octets uint32 // as sender reports count them (RFC 3550 section 6.4.1)
	sent            uint64

	wanted    time.Time // since when the viewer wants a key frame; zero: it does not
	restarted time.Time
	thin      thinner
	inKey     bool // within a key frame, while only those are sent
}

// start chooses where a viewer begins, and says whether there is anything to begin with.
func (t *track) start(w *worker, now time.Time) bool {
	keyframe, ok := t.layer.Keyframe()
	if !ok {
		t.layer.RequestKeyframe()
		return false
	}
	t.cursor = keyframe
	t.seq.forget()   // frames may go out a second time, with other timestamps,
	t.time.follow(0) // which go on from what has been sent
	t.seq.jump(t.layer, keyframe)
	t.wanted = time.Time{}
	if t.Kind == siaran.KindAudio {
		return true
	}
	t.catching, t.opening = true, true
	t.pacer.refill(now, t.rate(), w.burst)
	t.pacer.limit(startBurst)
	t.restarted = now
	if p := t.layer.Get(keyframe); p != nil && now.Sub(p.Arrival) > oldGroup {
		t.layer.RequestKeyframe()
	}
	return true
}

// advance sends what is new, as far as pacing lets it. It returns true while more waits for the pacer.
func (t *track) advance(w *worker, l *link, now time.Time) (paced bool) {
	if t.cursor < 0 && !t.start(w, now) {
		return false
	}
	t.jumpAhead()
	head := t.feed.limit
	video := t.Kind == siaran.KindVideo
	if video && t.cursor < head {
		t.pacer.refill(now, t.rate(), w.burst)
	}
	for ; t.cursor < head; t.cursor++ {
		p := t.layer.Get(t.cursor)
		if p == nil {
			if t.cursor < t.layer.Tail() { // overrun
				t.cursor = -1
				w.stats.overruns.Add(1)
				return t.start(w, now)
			}
			continue
		}
		if video && !t.pacer.ready() {
			return true
		}
		if t.thin.on && !t.keep(p) {
			continue
		}
		if video {
			t.pacer.charge(len(p.Payload) + headerSize)
		}
		edge := p.Timestamp
		if t.catching {
			if newest := t.layer.Get(head - 1); newest != nil {
				edge = newest.Timestamp
			}
			t.opening = t.opening && !p.FrameEnd
		}
		t.send(w, l, p, edge)
	}
	t.catching = false
	return false
}

// jumpAhead leaves out what is behind a newer key frame.
func (t *track) jumpAhead() {
	keyframe, ok := t.layer.Keyframe()
	if t.Kind == siaran.KindAudio {
		if t.cursor < t.layer.Tail() {
			t.cursor = max(keyframe, 0)
			t.seq.jump(t.layer, t.cursor)
		}
		return
	}
	if !ok || keyframe <= t.cursor || !t.catching && t.layer.Head()-t.cursor <= maxBehind {
		return
	}
	t.catching, t.opening = true, true
	t.cursor = keyframe
	t.seq.jump(t.layer, keyframe)
}

// keep tells whether a packet is for a viewer that gets key frames only.
func (t *track) keep(p *siaran.Packet) bool {
	if p.Keyframe {
		t.inKey = true
		t.seq.jump(t.layer, p.Seq)
		if t.thin.leave() {
			t.inKey = false
			return true
		}
	}
	keep := t.inKey
	t.inKey = t.inKey && !p.FrameEnd
	return keep
}

// rate is how fast packets may follow each other, in bytes a second: fast within a frame, at a viewer's start and
// at the live edge, and slower while a viewer is brought from the one to the other.
func (t *track) rate() int {
	if t.opening || !t.catching {
		return max(startRate, catchUp*t.feed.rate)
	}
	return max(minimumRate, catchUp*t.feed.rate)
}

func (t *track) send(w *worker, l *link, p *siaran.Packet, edge int64) {
	out := t.seq.assign(p.Seq)
	pad := t.feed.padding(p.Seq)
	timestamp := t.time.at(p.Timestamp, edge)
	if t.past != nil {
		t.past.keep(out, timestamp, pad)
	}
	if t.put(w, l, out, timestamp, p, pad) != nil {
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
	w.bytes += uint64(headerSize + len(p.Payload) + pad)
}

// resend answers a negative acknowledgement (RFC 4585 section 6.2.1), by RTX (RFC 4588) where it was negotiated.
func (t *track) resend(w *worker, l *link, number uint16, now time.Time) {
	layer, in, out, ok := t.seq.find(number)
	if !ok {
		return
	}
	p := layer.Get(in)
	if p == nil || !t.repair.take(now, out, t.roundTrip, t.sent) {
		w.stats.unrepaired.Add(1)
		return
	}
	if t.past != nil {
		if timestamp, pad, known := t.past.find(out); known && t.put(w, l, out, timestamp, p, pad) == nil {
			w.stats.repaired.Add(1)
		}
		return
	}
	room := w.batch.room()
	t.head(room, t.RTXPayloadType, t.RTXSSRC, t.rtxSeq, t.time.sent(p.Timestamp), p.Marker)
	payload := binary.BigEndian.AppendUint16(room[headerSize:headerSize], uint16(out))
	if l.send(w.batch, room, append(payload, p.Payload...), t.rtxSeq) == nil {
		w.stats.repaired.Add(1)
	}
	t.rtxSeq++
}

// put sends a packet, with some bytes of padding at its end (RFC 3550 section 5.1).
func (t *track) put(w *worker, l *link, seq, timestamp int64, p *siaran.Packet, pad int) error {
	room := w.batch.room()
	t.head(room, t.PayloadType, t.SSRC, seq, timestamp, p.Marker)
	payload := p.Payload
	if pad > 0 {
		payload = padded(room, payload, pad)
	}
	return l.send(w.batch, room, payload, seq)
}

// padded puts a payload and its padding behind the header in room.
func padded(room, payload []byte, pad int) []byte {
	room[0] |= 1 << 5
	b := append(room[headerSize:headerSize], payload...)
	b = append(b, zeros[:pad-1]...)
	return append(b, byte(pad))
}

var zeros [maxPadding]byte

// head writes a packet's header.
func (t *track) head(b []byte, payloadType uint8, ssrc uint32, seq, timestamp int64, marker bool) {
	b[0] = 2 << 6
	b[1] = payloadType
	if marker {
		b[1] |= 1 << 7
	}
	binary.BigEndian.PutUint16(b[2:], uint16(seq))
	binary.BigEndian.PutUint32(b[4:], uint32(timestamp))
	binary.BigEndian.PutUint32(b[8:], ssrc)
}

// wantKeyframe is the viewer's picture loss indication: the broadcaster is asked, and if
// it does not answer in time, the cached key frame is sent again (see tick).
func (t *track) wantKeyframe(now time.Time) {
	t.layer.RequestKeyframe()
	if t.wanted.IsZero() {
		t.wanted = now
	}
}

// tick looks after what time alone brings.
func (t *track) tick(w *worker, now time.Time) {
	t.chooseLayer(w, now)
	if t.wanted.IsZero() || now.Sub(t.wanted) < answerTime || now.Sub(t.restarted) < restartInterval || t.catching {
		return
	}
	t.cursor = -1
}

// chooseLayer takes the largest layer that is alive, and changes to it at its newest key frame.
func (t *track) chooseLayer(w *worker, now time.Time) {
	if len(t.Layers) < 2 {
		return
	}
	best := t.layer
	for _, l := range t.Layers {
		if l != best && alive(l, now) && (!alive(best, now) || area(l) > area(best)) {
			best = l
		}
	}
	if best == t.layer || !alive(best, now) {
		return
	}
	keyframe, ok := best.Keyframe()
	old, known := t.layer.Clock()
	fresh, known2 := best.Clock()
	if p := best.Get(keyframe); !ok || p == nil || !known || !known2 || now.Sub(p.Arrival) > oldGroup {
		best.RequestKeyframe()
		return
	}
	t.time.follow(old.TimestampAt(now, t.ClockRate) - fresh.TimestampAt(now, t.ClockRate))
	t.layer, t.feed = best, w.layers[best]
	t.cursor = -1
}

func alive(l *siaran.Layer, now time.Time) bool {
	p := l.Get(l.Head() - 1)
	return p != nil && now.Sub(p.Arrival) < silentLayer
}

func area(l *siaran.Layer) int {
	w, h := l.Size()
	return w * h
}
