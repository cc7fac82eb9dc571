package ingest

import (
	"slices"
	"time"
)

// How far the packets of a layer may be out of order, in packets.
const (
	videoWindow = 2048 // 250 ms of 90 Mbit/s
	audioWindow = 256
	maxMissing  = 512 // packets of a larger gap are given up at once
	maxAsked    = 200 // packets in one request
)

// packet is an RTP packet on its way to the hub. Its numbers are the layer's own, extended to 64 bits.
type packet struct {
	seq, timestamp int64
	marker         bool
	payload        []byte // empty for padding
	descriptor     []byte // dependency descriptor; empty when there is none
	apart          []byte // the payload as it came; nil where it is unchanged
	arrival        time.Time
}

// missing is a packet that later ones have overtaken.
type missing struct {
	seq      int64
	since    time.Time
	asked    time.Time // for the last time
	attempts int
}

// reorder puts the packets of one layer in order. It has no clock and no lock.
//
// next is the next packet to be emitted. It is either missing, or one past the newest.
type reorder struct {
	window  int64
	started bool
	next    int64
	newest  int64
	held    []packet // ring, allocated when first needed; an empty slot has a zero arrival
	gaps    []missing

	lost uint64 // packets that were given up on
}

// verdict is what became of a packet.
type verdict int

const (
	taken     verdict = iota
	recovered         // it was missing
	duplicate         // it was emitted or given up on earlier, or is held already
)

// put takes a packet and emits, in order, everything that can be emitted then. For a packet that was missing, the
// second result is its entry.
func (r *reorder) put(p packet, emit func(packet)) (verdict, missing) {
	if !r.started {
		r.started, r.next, r.newest = true, p.seq, p.seq-1
	}
	switch {
	case p.seq < r.next:
		return duplicate, missing{}
	case p.seq > r.newest:
		r.advance(p, emit)
		return taken, missing{}
	}
	i, found := slices.BinarySearchFunc(r.gaps, p.seq, func(m missing, seq int64) int { return int(m.seq - seq) })
	if !found {
		return duplicate, missing{}
	}
	was := r.gaps[i]
	r.gaps = slices.Delete(r.gaps, i, i+1)
	if p.seq == r.next {
		emit(p)
		r.next++
		r.drain(emit)
	} else {
		r.hold(p)
	}
	return recovered, was
}

// advance takes a packet that is newer than all earlier ones.
func (r *reorder) advance(p packet, emit func(packet)) {
	gap := p.seq - r.newest - 1
	if gap > min(maxMissing, r.window/2) {
		r.flush(emit)
		r.lost += uint64(gap)
		r.next = p.seq
		gap = 0
	}
	for p.seq-r.next >= r.window || len(r.gaps)+int(gap) > maxMissing && len(r.gaps) > 0 {
		r.giveUp(emit)
	}
	for seq := p.seq - gap; seq < p.seq; seq++ {
		r.gaps = append(r.gaps, missing{seq: seq, since: p.arrival})
	}
	r.newest = p.seq
	if p.seq == r.next {
		emit(p)
		r.next++
		return
	}
	r.hold(p)
}

func (r *reorder) hold(p packet) {
	if r.held == nil {
		r.held = make([]packet, r.window)
	}
	r.held[r.slot(p.seq)] = p
}

func (r *reorder) slot(seq int64) int64 { return ((seq % r.window) + r.window) % r.window }

// drain emits the held packets that are in order now.
func (r *reorder) drain(emit func(packet)) {
	for r.next <= r.newest && (len(r.gaps) == 0 || r.gaps[0].seq > r.next) {
		slot := &r.held[r.slot(r.next)]
		p := *slot
		*slot = packet{}
		r.next++
		emit(p)
	}
}

// giveUp stops waiting for the oldest missing packet; there must be one.
func (r *reorder) giveUp(emit func(packet)) {
	r.next = r.gaps[0].seq + 1
	r.gaps = slices.Delete(r.gaps, 0, 1)
	r.lost++
	r.drain(emit)
}

// expire gives up on what has been missing for as long as wait, if it has been asked for at
// least times, and on what has been missing for as long as most in any case.
func (r *reorder) expire(now time.Time, wait, most time.Duration, times int, emit func(packet)) {
	for len(r.gaps) > 0 {
		m := &r.gaps[0]
		if age := now.Sub(m.since); age < most && (age < wait || m.attempts < times) {
			return
		}
		r.giveUp(emit)
	}
}

// flush gives up on all missing packets.
func (r *reorder) flush(emit func(packet)) {
	for len(r.gaps) > 0 {
		r.giveUp(emit)
	}
}

// restart begins again with the next packet, whose number must be above all earlier ones.
func (r *reorder) restart(emit func(packet)) {
	r.flush(emit)
	r.started = false
}

// ask appends to list the packets to be requested now, and notes the request. The first request comes after a short
// time in which the packet may arrive by itself, the second when an answer should have come, and later ones at half
// that interval, because requests and repairs get lost too. A packet is requested at most times times. What does not
// fit into one datagram is left for the next call.
func (r *reorder) ask(list []int64, now time.Time, first, again time.Duration, times int) []int64 {
	for i := range r.gaps {
		m := &r.gaps[i]
		if len(list) == maxAsked {
			break
		}
		var due time.Time
		switch m.attempts {
		case 0:
			due = m.since.Add(first)
		case 1:
			due = m.asked.Add(again)
		default:
			due = m.asked.Add(again / 2)
		}
		if now.Before(due) || m.attempts >= times {
			continue
		}
		m.asked = now
		m.attempts++
		list = append(list, m.seq)
	}
	return list
}
