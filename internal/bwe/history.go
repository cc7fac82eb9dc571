package bwe

// remembered is how many packets are remembered: at 2.5 Mbit/s for 8 seconds.
const remembered = 2048 // a power of two

// What is known of a packet.
const (
	unreported = iota
	lost
	arrived
)

type sentPacket struct {
	at    uint32 // microseconds since the estimator's start, modulo 2^32
	size  uint16
	state uint8
}

// history remembers what was sent, by number.
type history struct {
	packets [remembered]sentPacket
	next    uint16 // number of the next packet
	count   int    // packets that are remembered
}

func (h *history) add(now int64, size int) uint16 {
	n := h.next
	h.packets[n%remembered] = sentPacket{at: uint32(now), size: uint16(min(size, 1<<16-1))}
	h.next++
	h.count = min(h.count+1, remembered)
	return n
}

// find returns a packet and when it was sent, or nil if it was not sent or is forgotten.
func (h *history) find(n uint16, now int64) (p *sentPacket, sent int64) {
	if back := int(h.next - n); back == 0 || back > h.count {
		return nil, 0
	}
	p = &h.packets[n%remembered]
	return p, now - int64(uint32(now)-p.at)
}

// after is how many bytes were sent after a packet.
func (h *history) after(n uint16) (bytes int) {
	for n++; n != h.next; n++ {
		bytes += int(h.packets[n%remembered].size)
	}
	return bytes
}
