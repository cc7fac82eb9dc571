package egress

import (
	"encoding/binary"
	"time"

	"siaran"
)

const (
	// How fast a child is brought up to the live edge, in bytes a second: its viewers wait for that too, and it is a
	// server on a good network.
	childRate = 100_000_000 / 8
	// The most often that what a child says changes the audience.
	tellInterval = 500 * time.Millisecond
	// A layer that has been silent for so long is not what a child is given.
	childSilence = 2 * time.Second
)

// child is what another server, which passes a broadcast on, says of its viewers. Only the worker touches it.
type child struct {
	broadcast *siaran.Broadcast
	session   siaran.SessionID

	viewers int
	joins   uint64
	news    bool
	told    time.Time
}

// newChild makes a viewer the child that it is: it gets everything, with the numbers that it has.
func newChild(b *siaran.Broadcast, id siaran.SessionID, v *viewer) *child {
	for _, t := range v.tracks {
		t.asItIs = true
		t.time.offset = 0
	}
	return &child{broadcast: b, session: id}
}

// audienceName is that of the packet in which a child says how many viewers it has (RTCP APP, RFC 3550 section 6.7):
// 32 bits with the number of those who watch now, and 64 with how many have joined since the session began.
const audienceName = "SIRN"

const (
	appHead      = 12 // bytes: header, SSRC and name
	audienceSize = appHead + 4 + 8
)

// hear takes an APP packet. SRTCP has authenticated it, so that it speaks for this child alone.
func (c *child) hear(b []byte) {
	viewers, joins, ok := parseAudience(b)
	if ok && (viewers != c.viewers || joins != c.joins) {
		c.viewers, c.joins, c.news = viewers, joins, true
	}
}

func parseAudience(b []byte) (viewers int, joins uint64, ok bool) {
	if len(b) < audienceSize || string(b[8:appHead]) != audienceName || b[0]&0x1f != 0 {
		return 0, 0, false
	}
	return int(binary.BigEndian.Uint32(b[appHead:])), binary.BigEndian.Uint64(b[appHead+4:]), true
}

// tell passes on what the child has said, at the worker's tick: however often it speaks, that costs the hub little.
func (c *child) tell(now time.Time) {
	if c.news && now.Sub(c.told) >= tellInterval {
		c.broadcast.Below(c.session, c.viewers, c.joins)
		c.news, c.told = false, now
	}
}

// forChild makes a plan that of a child: it gets one layer as it is, the largest of those that are being sent.
func (p *sectionPlan) forChild(now time.Time) {
	p.HoldID, p.extensions = 0, nil
	best := p.Layers[0]
	for _, l := range p.Layers[1:] {
		if lives := sends(l, now); lives && (area(l) > area(best) || !sends(best, now)) {
			best = l
		}
	}
	p.Layers = []*siaran.Layer{best}
}

func sends(l *siaran.Layer, now time.Time) bool {
	newest := l.Get(l.Head() - 1)
	return newest != nil && now.Sub(newest.Arrival) < childSilence
}

// startAsItIs is start for a child. Numbers say which packet it is, so none is sent again but by repair: a child only
// goes forward. Its first number is the layer's in 16 bits, which is where SRTP begins to count (RFC 3711 section
// 3.3.1).
func (t *track) startAsItIs(w *worker, keyframe int64, now time.Time) bool {
	if len(t.seq.runs) == 0 {
		t.seq.next = keyframe & 0xffff
		t.seq.jump(t.layer, keyframe)
	} else if in := t.seq.runs[0].in + t.seq.next - t.seq.runs[0].out; keyframe < in {
		keyframe = in
	}
	t.cursor = keyframe
	t.wanted = time.Time{}
	if t.Kind == siaran.KindVideo {
		t.catching, t.opening, t.restarted = true, true, now
		t.pacer.refill(now, t.rate(now), w.burst)
	}
	return true
}
