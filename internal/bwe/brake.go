package bwe

const (
	// A packet that has waited for so much longer than usual may be the first of a queue.
	leastLack = 35 * millisecond
	mostLack  = 150 * millisecond
	lackSlack = 10 * millisecond

	brakeTime = 100 * millisecond // without feedback
)

// brake watches how long the first packet that the newest feedback lacks has been under way. That says that a queue
// grows before a packet has come through it.
type brake struct {
	trip  baseline // from a packet to the feedback about it
	usual int64    // how long a packet has been lacking, the longest of late
	until int64
}

func (b *brake) heard(h *history, newest uint16, now int64) {
	b.until = 0
	_, sent := h.find(newest, now)
	trip := b.trip.add(now-sent, now, false)
	p, sent := h.find(newest+1, now)
	lack := int64(0)
	if p != nil {
		lack = now - sent - trip
	}
	if lack > max(leastLack, b.usual*3/2+lackSlack) {
		b.until = now + brakeTime
	}
	b.usual = max(min(lack, mostLack), b.usual-b.usual/32)
}
