package mediaport

const (
	batchMessages = 64
	batchBytes    = 256 << 10 // small enough to stay in a core's cache until it is sent
	maxSegments   = 64        // UDP_MAX_SEGMENTS of Linux
	maxRun        = 60 << 10  // bytes of one message: somewhat less than 64 KiB minus headers
	// The most datagrams in a batch. It bounds the time of one system call, which no garbage collection can interrupt;
	// thousands of small datagrams would fit into batchBytes.
	batchDatagrams = 512
)

// message is one entry of a batch: a datagram, or a run of datagrams of one size, the last of which may be shorter,
// that the kernel cuts apart (UDP_SEGMENT).
type message struct {
	to       *Path
	start    int // of its bytes in the batch's buffer
	length   int
	segment  int // bytes of the first datagram
	segments int
	closed   bool // no datagram may follow: the last one was shorter
}

// Batch collects datagrams until they are sent with one system call. It belongs to one goroutine.
type Batch struct {
	port     rawPort
	relays   *relays
	relayed  bool // some messages go through the relay
	buf      []byte
	messages []message
	count    int // of datagrams
	lost     func(datagrams int)
	system   batchBuffers
	counters sentCounters
}

func newBatch(p rawPort, r *relays, lost func(int)) *Batch {
	return &Batch{
		port: p, relays: r, lost: lost,
		buf: make([]byte, 0, batchBytes), messages: make([]message, 0, batchMessages),
	}
}

// TakesRuns reports whether datagrams of one size that follow each other to one path are sent in one go.
func (b *Batch) TakesRuns() bool { return b.port.segments() > 1 }

// Room returns where the next datagram may be written: MaxDatagram bytes. It flushes the batch if there is no room.
func (b *Batch) Room() []byte {
	if cap(b.buf)-len(b.buf) < MaxDatagram || len(b.messages) == batchMessages || b.count == batchDatagrams {
		b.Flush()
	}
	return b.buf[len(b.buf) : len(b.buf)+MaxDatagram : len(b.buf)+MaxDatagram]
}

// Add takes the n bytes that have been written to Room.
func (b *Batch) Add(n int, to *Path) {
	start := len(b.buf)
	b.buf = b.buf[:start+n]
	b.count++
	if last := len(b.messages) - 1; last >= 0 {
		m := &b.messages[last]
		if m.to == to && !m.closed && n <= m.segment && m.segments < b.port.segments() && m.length+n <= maxRun &&
			to.takesRuns() {
			m.length += n
			m.segments++
			m.closed = n < m.segment
			return
		}
	}
	b.relayed = b.relayed || to.relayed
	b.messages = append(b.messages, message{to: to, start: start, length: n, segment: n, segments: 1})
}

// Flush sends what has been collected. What the system does not take is lost, as on the network.
func (b *Batch) Flush() {
	if len(b.messages) == 0 {
		return
	}
	bump(&b.counters.flushes, 1)
	bump(&b.counters.messages, uint64(len(b.messages)))
	bump(&b.counters.datagrams, uint64(b.count))
	if b.relayed {
		b.divert()
	}
	if lost := b.port.sendBatch(b); lost > 0 {
		bump(&b.counters.lost, uint64(lost))
		b.lost(lost)
	}
	b.buf = b.buf[:0]
	b.messages = b.messages[:0]
	b.count = 0
}

// divert takes out what goes through the relay.
func (b *Batch) divert() {
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
func (b *Batch) each(m *message, f func([]byte)) {
	for off := 0; off < m.length; off += m.segment {
		f(b.buf[m.start+off : m.start+min(off+m.segment, m.length)])
	}
}
