package ingest

import (
	"slices"
	"time"
)

// How far a layer may be out of order, in packets.
const (
	videoWindow = 2048 // 250 ms of 90 Mbit/s
	audioWindow = 256
	maxMissing  = 512 // a larger gap is not waited for
	maxAsked    = 200 // in one request
)

// packet is an RTP packet on its way to the hub, with the layer's own extended numbers.
type packet struct {
	seq, timestamp int64
	marker         bool
	payload        []byte // empty for padding
	arrival        time.Time
}

// missing is a packet that others have overtaken.
type missing struct {
	seq   int64
	since time.Time
	asked time.Time // last
	times int
}

// reorder brings the packets of one layer into order. It has no clock and no lock.
//
// next is what is to be handed on next: it is either missing, or one past the newest.
type reorder struct {
	window  int64
	started bool
	next    int64
	newest  int64
	held    []packet // ring, made when first needed; a slot is empty when its arrival is zero
	gaps    []missing

	lost uint64 // given up on
}

// verdict is what became of a packet that was put in.
type verdict int

const (
	taken     verdict = iota
	recovered         // it had been missing
	duplicate         // it has been handed on, given up on, or is held already
)

// put takes p in; what can be handed on then goes to emit, in order. For a packet that had been
// missing the second value says what was known of it.
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

// advance takes in what is newer than all before.
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

// drain hands on what has come to be in order.
func (r *reorder) drain(emit func(packet)) {
	for r.next <= r.newest && (len(r.gaps) == 0 || r.gaps[0].seq > r.next) {
		slot := &r.held[r.slot(r.next)]
		p := *slot
		*slot = packet{}
		r.next++
		emit(p)
	}
}

// giveUp waits no longer for the oldest that is missing; there must be one.
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
		if age := now.Sub(m.since); age < most && (age < wait || m.times < times) {
			return
		}
		r.giveUp(emit)
	}
}

// flush gives up on everything that is missing.
func (r *reorder) flush(emit func(packet)) {
	for len(r.gaps) > 0 {
		r.giveUp(emit)
	}
}

// restart begins anew with whatever comes next, above all numbers before.
func (r *reorder) restart(emit func(packet)) {
	r.flush(emit)
	r.started = false
}

// ask appends to list what is to be asked for now: first after a little time in which it may
// come by itself, then again and again, at most times, and marks it as asked for. What is too
// much for one datagram is left for the next time.
func (r *reorder) ask(list []int64, now time.Time, first, again time.Duration, times int) []int64 {
	for i := range r.gaps {
		m := &r.gaps[i]
		if len(list) == maxAsked {
			break
		}
		if m.times == 0 && now.Sub(m.since) < first || m.times > 0 && now.Sub(m.asked) < again || m.times >= times {
			continue
		}
		m.asked = now
		m.times++
		list = append(list, m.seq)
	}
	return list
}
