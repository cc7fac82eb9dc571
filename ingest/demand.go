package ingest

import (
	"encoding/binary"
	"time"

	"github.com/pion/rtcp"

	"siaran"
)

const (
	restAfter   = 5 * time.Second // a layer of a pull is paused when nobody has needed it for so long
	wakeTime    = 2 * time.Second // within which one that is needed again has to come
	wakeRepeat  = 200 * time.Millisecond
	pauseRepeat = 500 * time.Millisecond // while it still comes
	stateRepeat = 5 * time.Second
	notLate     = 100 * time.Millisecond

	feedbackTMMBR = "ccm tmmbr"
	formatTMMBR   = 3 // RFC 5104 section 4.2.1
)

// demand is whether a layer of a pull is wanted, and what the parent knows of that. It is guarded by receiver.mu.
type demand struct {
	paused  bool
	waking  bool // it is wanted again, and has not come yet
	late    bool // what comes is from before it was wanted again
	began   time.Time
	changed time.Time
	told    time.Time // when the parent was
}

// duePauses returns what the parent has to be told now of layers that are wanted or not: a highest bitrate (TMMBR, RFC
// 5104) that is 0 for one that is to be paused (RFC 7728). One layer always comes, so that new viewers can begin.
func (r *receiver) duePauses(now time.Time) (out []rtcp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.keptLayer()
	for _, l := range r.demux.layers {
		if !l.choice.has(feedbackTMMBR) || l.lastArrival.IsZero() {
			continue
		}
		l.demand.look(l, l == kept, now)
		if l.demand.due(l.lastArrival, now) {
			l.demand.told = now
			out = append(out, bitrateRequest(r.ssrc, l.current.ssrc, l.demand.paused))
		}
	}
	return out
}

// keptLayer is the layer that was needed last; as long as none was, the largest.
func (r *receiver) keptLayer() (kept *layer) {
	for _, l := range r.demux.layers {
		if !l.video() || l.lastArrival.IsZero() {
			continue
		}
		if kept == nil || neededMore(l.writer.Layer(), kept.writer.Layer()) {
			kept = l
		}
	}
	return kept
}

func neededMore(l, other *siaran.Layer) bool {
	if a, b := l.Needed(), other.Needed(); !a.Equal(b) {
		return a.After(b)
	}
	w, h := l.Size()
	w2, h2 := other.Size()
	return w*h > w2*h2
}

// look pauses a layer that comes and that nobody needs, and wakes one that is needed. One that does not come by itself
// costs nothing, and is seen when it comes again.
func (d *demand) look(l *layer, kept bool, now time.Time) {
	if d.began.IsZero() {
		d.began = now
	}
	needed := kept || now.Sub(l.writer.Layer().Needed()) < restAfter || now.Sub(d.began) < restAfter
	switch {
	case !d.paused && !needed && !d.waking && now.Sub(l.lastArrival) < silence:
		d.paused, d.changed = true, now
		l.writer.Rest(true)
	case d.paused && needed:
		d.paused, d.waking, d.late, d.changed = false, true, true, now
	case d.waking && now.Sub(d.changed) > wakeTime:
		d.wakes(l)
	}
}

// wakes ends the rest of a layer: it comes, or it does not come although it is wanted.
func (d *demand) wakes(l *layer) {
	d.waking = false
	l.writer.Rest(false)
}

// due reports whether the parent has to be told. As requests may be lost, it is told again until it does as it should.
func (d *demand) due(lastArrival, now time.Time) bool {
	wait := stateRepeat
	switch {
	case d.changed.IsZero():
		return false
	case d.changed.After(d.told):
		return true
	case d.paused && lastArrival.After(d.told):
		wait = pauseRepeat
	case d.waking:
		wait = wakeRepeat
	}
	return now.Sub(d.told) >= wait
}

// arrival is when a packet would have come if its layer had never been paused: the parent begins with the newest key
// frame that it has. Whoever looks at the age of a key frame, or compares layers, needs to know.
func (l *layer) arrival(timestamp int64, now time.Time) time.Time {
	d := &l.demand
	if !d.late {
		return now
	}
	behind := l.counts.timing.behind(duration(timestamp, l.choice.codec.ClockRate), now)
	if behind < notLate || now.Sub(d.changed) > wakeTime {
		d.late = false
		return now
	}
	return now.Add(-behind)
}

// bitrateRequest makes a TMMBR: no more than 0, or no limit.
func bitrateRequest(from, of uint32, pause bool) rtcp.Packet {
	b := []byte{0x80 | formatTMMBR, byte(rtcp.TypeTransportSpecificFeedback), 0, 4}
	b = binary.BigEndian.AppendUint32(b, from)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, of)
	const mostMantissa, mostExponent = 1<<17 - 1, 32 // 5.6e14 bit/s
	var limit uint32
	if !pause {
		limit = mostExponent<<26 | mostMantissa<<9
	}
	raw := rtcp.RawPacket(binary.BigEndian.AppendUint32(b, limit))
	return &raw
}
