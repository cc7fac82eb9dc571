package mediaport

import "sync/atomic"

// Stats counts what has passed the port since it was opened. What is sent singly, such as checks and reports, is not in
// Sent.
type Stats struct {
	Datagrams, Bytes uint64 // received
	Limited          uint64 // of these, dropped because their source had sent too many
	Sent             SentStats
	Runs             bool   // datagrams of one size are handed to the system in one go (GSO)
	Refused          uint64 // runs that the system did not take; their datagrams went out one by one
}

// SentStats counts what batches have handed to the system or to the relay.
type SentStats struct {
	Flushes   uint64 // of batches: one system call each, as a rule
	Messages  uint64 // each is a datagram or a run of several
	Datagrams uint64
	Lost      uint64 // datagrams that the system did not take
	Stuck     uint64 // of these, because it had no room for them
}

// readCounters are those of one reader, which alone writes them.
type readCounters struct {
	datagrams, bytes atomic.Uint64
	_                [112]byte // so that readers do not share a cache line
}

// sentCounters are those of one batch. Its goroutine alone writes them, once for each flush.
type sentCounters struct{ flushes, messages, datagrams, lost atomic.Uint64 }

// bump adds to a counter that only the calling goroutine writes.
func bump(c *atomic.Uint64, n uint64) { c.Store(c.Load() + n) }

// Stats returns the counters.
func (s *Socket) Stats() Stats {
	st := Stats{Limited: s.limited.Load(), Runs: s.ports[0].segments() > 1}
	for i := range s.reads {
		st.Datagrams += s.reads[i].datagrams.Load()
		st.Bytes += s.reads[i].bytes.Load()
	}
	for _, p := range s.ports {
		st.Refused += p.refusals()
		st.Sent.Stuck += p.stuck()
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, b := range s.batches {
		st.Sent.Flushes += b.counters.flushes.Load()
		st.Sent.Messages += b.counters.messages.Load()
		st.Sent.Datagrams += b.counters.datagrams.Load()
		st.Sent.Lost += b.counters.lost.Load()
	}
	return st
}
