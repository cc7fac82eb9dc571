package egress

import (
	"encoding/binary"
	"time"

	"siaran"
	"siaran/internal/bwe"
)

const (
	headerSize = 12
	// A viewer at the live edge that falls further behind than this continues from the next key frame.
	maxBehind = 512 // packets
	// If the cached group of pictures is older than this, a new viewer is worth a request for a key frame.
	oldGroup = 3 * time.Second
	// How long a broadcaster has to answer a viewer's request for a key frame before the cached one is sent again.
	answerTime = 400 * time.Millisecond
	// The least time between two starts of a viewer from the cached key frame.
	restartInterval = 2 * time.Second
	// How often it is sent again while no new packet arrives: for a frozen picture some viewers ask for ever.
	maxRepeatedStarts = 2
	// A viewer is switched from a layer to another one of its track when the layer has been silent for this long, for
	// longer than usual, and others have sent some frames in the meantime.
	silentLayer  = time.Second
	slowestHabit = 4 * time.Second // longest usual time between two frames, of a still screen
	habits       = 2               // how many usual times of silence
	missedFrames = 3
)

// track is one viewer's state for one track. It belongs to the viewer's worker.
type track struct {
	plan
	layer    *siaran.Layer
	index    uint8        // of the layer, among the track's
	feed     *layerCursor // of the layer
	cursor   int64        // the layer's next packet for this viewer; below 0: it waits for a key frame
	catching bool         // behind the live edge, paced
	opening  bool         // the key frame a start begins with has not gone out whole
	pacer    pacer

	seq    sequencer
	time   timeline
	rtxSeq int64   // the next one, without wraps
	log    sentLog // nil: the sequencer knows all that a repair needs
	repair repairBudget
	// From the newest receiver report (RFC 3550 section 6.4.1); 0 if unknown.
	roundTrip time.Duration

	packets, octets uint32 // as sender reports count them (RFC 3550 section 6.4.1)
	sent            uint64

	wanted    time.Time // since when the viewer has been asking for a key frame; zero: it is not asking
	restarted time.Time
	stood     int64 // the layer's head when the viewer was last started
	repeats   int   // how often it was restarted with that same head
	gate      lossGate
	hold      hold
	inKey     bool  // within a key frame, while only those are sent
	key       int64 // its timestamp

	asItIs   bool // for a child: no packet goes out under another number or timestamp than it has in the layer
	choice   siaran.LayerChoice
	muted    bool           // nothing is sent, as the viewer wants
	sel      *selector      // nil: there is nothing to choose
	estimate *bwe.Estimator // of the viewer's path; nil: these packets do not count
	now      time.Time      // when the newest packet was sent
}

// start chooses where a viewer begins. It reports whether there is a key frame to begin with.
func (t *track) start(w *worker, now time.Time) bool {
	keyframe, ok := t.layer.Keyframe()
	if !ok {
		t.layer.RequestKeyframe()
		return false
	}
	if t.asItIs {
		return t.startAsItIs(w, keyframe, now)
	}
	t.cursor = keyframe
	t.seq.forget()   // frames may go out a second time, with other timestamps,
	t.time.follow(0) // which continue from what has been sent
	t.begin(keyframe)
	t.wanted = time.Time{}
	if t.Kind == siaran.KindAudio {
		return true
	}
	t.catching, t.opening = true, true
	t.pacer.refill(now, t.rate(now), t.burst(w, now))
	t.pacer.limit(startBurst)
	t.restarted = now
	if head := t.layer.Head(); head != t.stood {
		t.stood, t.repeats = head, 0
	} else {
		t.repeats++
	}
	if p := t.layer.Get(keyframe); p != nil && now.Sub(p.Arrival) > oldGroup {
		t.layer.RequestKeyframe()
	}
	return true
}

// advance sends what is new, as far as pacing allows. It reports whether more waits for the pacer.
func (t *track) advance(w *worker, l *link, now time.Time) (paced bool) {
	if t.muted || t.cursor < 0 && !t.start(w, now) {
		return false
	}
	if t.sel != nil {
		if t.sel.pauses(now) {
			return t.cursor < t.feed.ready
		}
		t.catch(w, now)
	}
	t.jumpAhead()
	head := t.feed.ready
	video := t.Kind == siaran.KindVideo
	if video && t.cursor < head {
		t.pacer.refill(now, t.rate(now), t.burst(w, now))
	}
	for ; t.cursor < head; t.cursor++ {
		p := t.layer.Get(t.cursor)
		if p == nil {
			if t.cursor < t.layer.Tail() { // overrun
				t.cursor = -1
				w.stats.overruns.Add(1)
				return t.start(w, now)
			}
			if t.sel != nil {
				t.sel.lost = true
			}
			continue
		}
		if t.sel != nil && !t.sel.passes(p) {
			continue
		}
		if video && !t.pacer.ready() {
			if t.sel != nil && !t.catching {
				t.sel.waits(p, now)
			}
			return true
		}
		if t.sel != nil && t.sel.cannotTell(p, t.layer) {
			return true
		}
		if t.gate.keyframesOnly && !t.keep(p) {
			continue
		}
		if video {
			t.pacer.charge(len(p.Payload) + headerSize)
		}
		edge := p.Timestamp
		if t.catching {
			if newest := t.layer.Get(head - 1); newest != nil && !t.asItIs {
				edge = newest.Timestamp
			}
			t.opening = t.opening && !p.FrameEnd
		}
		t.send(w, l, p, edge, now)
	}
	t.catching = false
	return false
}

// jumpAhead skips to a newer key frame.
func (t *track) jumpAhead() {
	keyframe, ok := t.layer.Keyframe()
	if t.Kind == siaran.KindAudio {
		if t.cursor < t.layer.Tail() {
			t.cursor = max(keyframe, 0)
			if !t.asItIs {
				t.seq.jump(t.layer, t.cursor)
			}
		}
		return
	}
	if !ok || keyframe <= t.cursor || !t.catching && t.layer.Head()-t.cursor <= maxBehind {
		return
	}
	t.catching, t.opening = true, true
	t.cursor = keyframe
	t.begin(keyframe)
}

// begin says that a key frame with this number is sent next.
func (t *track) begin(keyframe int64) {
	switch {
	case t.sel != nil:
		t.sel.restart()
	case !t.asItIs:
		t.seq.jump(t.layer, keyframe)
	}
}

// keep reports whether a viewer that gets key frames only gets this packet. The timestamp says which packets belong to
// a key frame, as some encoders set the marker bit inside it.
func (t *track) keep(p *siaran.Packet) bool {
	if p.Keyframe {
		t.inKey, t.key = true, p.Timestamp
		t.seq.jump(t.layer, p.Seq)
		if t.gate.leave() {
			t.inKey = false
			return true
		}
	}
	t.inKey = t.inKey && p.Timestamp == t.key
	return t.inKey
}

// rate is how fast packets may follow each other, in bytes a second: fast in a viewer's first key frame and at the live
// edge, slower while the viewer is brought from one to the other.
func (t *track) rate(now time.Time) int {
	if t.asItIs {
		return max(childRate, catchUp*t.feed.rate)
	}
	rate := max(minimumRate, catchUp*t.feed.rate)
	if t.opening || !t.catching {
		rate = max(startRate, catchUp*t.feed.rate)
	}
	if t.sel != nil {
		rate = min(rate, t.sel.pace(now))
	}
	return rate
}

// burst is how many bytes may go out at once.
func (t *track) burst(w *worker, now time.Time) int {
	if t.sel == nil {
		return w.burst
	}
	return min(w.burst, max(leastBurst, t.sel.pace(now)/burstShare))
}

func (t *track) send(w *worker, l *link, p *siaran.Packet, edge int64, now time.Time) {
	how := sentPacket{marker: p.Marker}
	if !t.asItIs {
		how.pad = t.feed.padding(p.Seq)
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
	if t.estimate != nil && len(p.Payload) <= extensionRoom {
		t.mark(room, t.estimate.Sent(now, headerSize+8+2+len(p.Payload)+packetOverhead), now)
	}
	head := headerLength(room)
	payload := binary.BigEndian.AppendUint16(room[head:head], uint16(out))
	payload = append(payload, p.Payload...)
	if how.ids.rewritten {
		pictureFieldsOf(t.sel.codec, payload[2:]).write(payload[2:], how.ids)
	}
	t.rtxSeq++
	return l.send(w.batch, room, payload, t.rtxSeq-1)
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

// wantKeyframe handles the viewer's request for a key frame: the broadcaster is asked, and if it does not answer in
// time, the cached key frame is sent again (see tick).
func (t *track) wantKeyframe(now time.Time) {
	if t.muted {
		return
	}
	t.layer.RequestKeyframe()
	if t.wanted.IsZero() {
		t.wanted = now
	}
}

// tick does what is due by time alone.
func (t *track) tick(w *worker, now time.Time) {
	if t.sel != nil && !t.muted {
		t.decide(w, now)
	}
	if t.wanted.IsZero() || now.Sub(t.wanted) < answerTime || now.Sub(t.restarted) < restartInterval || t.catching {
		return
	}
	if t.asItIs || t.repeats >= maxRepeatedStarts && t.layer.Head() == t.stood {
		return
	}
	t.cursor = -1
}

// alive reports whether a layer is still being sent. It is if its siblings are just as slow, as with a still screen.
func (t *track) alive(l *siaran.Layer, now time.Time) bool {
	newest := l.Get(l.Head() - 1)
	if newest == nil {
		return false
	}
	silence := now.Sub(newest.Arrival)
	if silence < silentLayer {
		return true
	}
	times, n := l.FrameTimes()
	habit := time.Duration(0)
	for i := 1; i < n; i++ {
		habit = max(habit, min(times[i-1].Sub(times[i]), slowestHabit))
	}
	if silence < habits*habit {
		return true
	}
	for _, other := range t.Layers {
		if since, n := other.FrameTimes(); n >= missedFrames && since[missedFrames-1].After(newest.Arrival) {
			return false
		}
	}
	return true
}

func area(l *siaran.Layer) int {
	w, h := l.Size()
	return w * h
}
