package egress

import "net/netip"

const (
	batchMessages = 64
	batchBytes    = 256 << 10 // small enough to stay in a core's cache until it is sent
	maxSegments   = 64        // UDP_MAX_SEGMENTS of Linux
	maxRun        = 60 << 10  // bytes of one message; 64 KiB less headers, and some
)

// path is an address with its form for the kernel, and which of our addresses to send from.
type path struct {
	address netip.AddrPort
	local   netip.Addr // invalid: whichever the system likes
	relayed bool       // through the relay in this process, never to the network
	raw     rawAddress
}

// message is one entry of a batch: a datagram, or a run of datagrams of one size, of which
// the last may be shorter, that the kernel cuts apart (UDP_SEGMENT).
type message struct {
	to       *path
	start    int // of its bytes in the batch's buffer
	length   int
	segment  int // bytes of the first datagram
	segments int
	closed   bool // no datagram may follow: the last one was shorter
}

// batch collects datagrams of a worker until they are sent in one system call.
type batch struct {
	port     port
	relays   *relays
	relayed  bool // some messages are
	buf      []byte
	messages []message
	dropped  func(datagrams int)
	system   batchBuffers
}

func newBatch(p port, r *relays, dropped func(int)) *batch {
	return &batch{port: p, relays: r, buf: make([]byte, 0, batchBytes), messages: make([]message, 0, batchMessages), dropped: dropped}
}

// room returns where the next datagram may be written, maxDatagram bytes. It flushes when there is no room.
func (b *batch) room() []byte {
	if cap(b.buf)-len(b.buf) < maxDatagram || len(b.messages) == batchMessages {
		b.flush()
	}
	return b.buf[len(b.buf) : len(b.buf)+maxDatagram : len(b.buf)+maxDatagram]
}

// add takes the n bytes that have been written to room.
func (b *batch) add(n int, to *path) {
	start := len(b.buf)
	b.buf = b.buf[:start+n]
	if last := len(b.messages) - 1; last >= 0 {
		m := &b.messages[last]
		if m.to == to && !m.closed && n <= m.segment && m.segments < b.port.segments() && m.length+n <= maxRun {
			m.length += n
			m.segments++
			m.closed = n < m.segment
			return
		}
	}
	b.relayed = b.relayed || to.relayed
	b.messages = append(b.messages, message{to: to, start: start, length: n, segment: n, segments: 1})
}

// flush sends what has been collected. What the system does not take is lost, as on the network.
func (b *batch) flush() {
	if len(b.messages) == 0 {
		return
	}
	if b.relayed {
		b.divert()
	}
	if lost := b.port.sendBatch(b); lost > 0 {
		b.dropped(lost)
	}
	b.buf = b.buf[:0]
	b.messages = b.messages[:0]
}

// divert takes out what goes through the relay.
func (b *batch) divert() {
	direct := b.messages[:0]
	for _, m := range b.messages {
		if m.to.relayed {
			b.relays.send(b.buf[m.start:m.start+m.length], m.segment, m.to.address)
		} else {
			direct = append(direct, m)
		}
	}
	b.messages, b.relayed = direct, false
}

// each calls f for every datagram of a message.
func (b *batch) each(m *message, f func([]byte)) {
	for off := 0; off < m.length; off += m.segment {
		f(b.buf[m.start+off : m.start+min(off+m.segment, m.length)])
	}
}
