package siaran

import (
	"bytes"
	"time"
)

// resumeLead is how much further a pulled layer's timestamps may have gone than time has, while nothing came.
const resumeLead = 2 * time.Second

// resume is splice for a pulled broadcast that goes on where the writer before left it, whichever parent it comes from
// now. Its packets have the timestamps that they had before, in 32 bits, and the first ones may be here already, as a
// parent begins with its cached key frame. Those are left out: if viewers saw them twice, they would be behind by as
// much from then on. resume reports false, and changes nothing, if this is not such a case. prefixes is how many
// packets are to be put before this one. The caller holds layer.mu.
func (w *Writer) resume(seq, timestamp int64, payload []byte, prefixes int64, arrival time.Time) bool {
	l := w.layer
	if !w.pulled || !l.pulled || l.lastArrival.IsZero() {
		return false
	}
	after := int64(int32(uint32(timestamp + l.tsOffset - l.lastTimestamp)))
	at, found := l.find(l.lastTimestamp+after, payload)
	at -= prefixes
	if !found {
		most := durationToUnits(arrival.Sub(l.lastArrival)+resumeLead, l.codec.ClockRate)
		if after <= 0 || after > most {
			return false
		}
		at = l.head.Load()
	}
	w.spliced = true
	w.seqOffset = at - seq
	w.tsOffset = l.lastTimestamp + after - timestamp
	if w.clock != nil {
		l.clock.Store(&Clock{Wall: w.clock.Wall, Timestamp: w.clock.Timestamp + w.tsOffset})
	}
	return true
}

// find returns the sequence number of a packet in the ring. The caller holds l.mu.
func (l *Layer) find(timestamp int64, payload []byte) (int64, bool) {
	for seq := l.head.Load() - 1; seq >= l.tail.Load(); seq-- {
		if p := l.Get(seq); p != nil && p.Timestamp == timestamp && bytes.Equal(p.Payload, payload) {
			return seq, true
		}
	}
	return 0, false
}
