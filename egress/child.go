package egress

import (
	"encoding/binary"
	"iter"
	"slices"
	"time"

	"github.com/pion/rtcp"

	"siaran"
	"siaran/internal/sdp"
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

// forChild makes a plan that of a child: it gets one layer as it is, the one that its offer names, or the largest of
// those that are being sent.
func (p *sectionPlan) forChild(offered *sdp.Section, now time.Time) {
	p.HoldID = 0
	p.extensions = slices.DeleteFunc(p.extensions, func(e sdp.Extension) bool { return e.URI != sdp.URIDescriptor })
	if i := slices.IndexFunc(p.Layers, func(l *siaran.Layer) bool { return l.RID() == offered.Layer }); i >= 0 {
		p.Layers, p.layer = p.Layers[i:i+1:i+1], offered.Layer
		if slices.Contains(p.codec.Feedback, feedbackTMMBR) {
			p.feedback = append(p.feedback, feedbackTMMBR)
		}
		return
	}
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
// 3.3.1). After a pause the numbers go on where they were: SRTP would lose count if it missed 32768 of them.
func (t *track) startAsItIs(w *worker, keyframe int64, now time.Time) bool {
	if len(t.seq.runs) == 0 {
		t.seq.next = keyframe & 0xffff
		t.seq.jump(t.layer, keyframe)
	} else if r := t.seq.runs[len(t.seq.runs)-1]; keyframe <= r.in+t.seq.next-r.out {
		keyframe = r.in + t.seq.next - r.out
	} else if t.resumed {
		t.seq.jump(t.layer, keyframe)
	}
	t.cursor, t.resumed = keyframe, false
	t.wanted = time.Time{}
	if t.Kind == siaran.KindVideo {
		t.catching, t.opening, t.restarted = true, true, now
		t.pacer.refill(now, t.rate(now), w.burst)
	}
	return true
}

// How a child says that it does not need a layer for now: with a highest bitrate of 0 (TMMBR, RFC 5104 section 4.2.1,
// RFC 7728). Any other bitrate means all of it.
const (
	feedbackTMMBR = "ccm tmmbr"
	formatTMMBR   = 3
	formatTMMBN   = 4
	boundsHead    = 12 // bytes: header, and two SSRCs
	boundSize     = 8
)

// limit takes a child's TMMBR, and answers it (RFC 5104 section 3.5.4.2).
func (v *viewer) limit(b []byte) {
	answer := []byte{0x80 | formatTMMBN, byte(rtcp.TypeTransportSpecificFeedback), 0, 0}
	var from uint32
	for ssrc, bound := range bounds(b) {
		t := v.track(ssrc)
		if t == nil || t.Kind != siaran.KindVideo {
			continue
		}
		t.pause(bound>>9&(1<<17-1) == 0)
		if from == 0 {
			from = ssrc
			answer = binary.BigEndian.AppendUint32(answer, from)
			answer = binary.BigEndian.AppendUint32(answer, 0)
		}
		answer = binary.BigEndian.AppendUint32(answer, binary.BigEndian.Uint32(b[4:]))
		answer = binary.BigEndian.AppendUint32(answer, bound)
	}
	if from == 0 {
		return
	}
	binary.BigEndian.PutUint16(answer[2:], uint16(len(answer)/4-1))
	raw := rtcp.RawPacket(answer)
	_ = v.link.sendRTCP([]rtcp.Packet{&raw}) // the child asks again if nothing changes
}

// bounds are the entries of a TMMBR: SSRCs with what may be sent of them.
func bounds(b []byte) iter.Seq2[uint32, uint32] {
	return func(yield func(uint32, uint32) bool) {
		for at := boundsHead; at+boundSize <= len(b); at += boundSize {
			if !yield(binary.BigEndian.Uint32(b[at:]), binary.BigEndian.Uint32(b[at+4:])) {
				return
			}
		}
	}
}

// pause stops a track of a child, or lets it go on with the newest key frame.
func (t *track) pause(paused bool) {
	if t.muted == paused {
		return
	}
	t.muted = paused
	if !paused {
		t.cursor, t.resumed = -1, true
	}
}
