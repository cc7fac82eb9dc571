package egress

// Stats counts what the server has done since it started.
type Stats struct {
	Viewers        int
	Packets, Bytes uint64
	Repaired       uint64 // packets sent again
	Unrepaired     uint64 // packets asked for that were gone, or over the viewer's budget
	Overruns       uint64 // times that a viewer fell too far behind and continued from a key frame
	Panics         uint64 // each has ended one session, or cost one datagram
	Drops          Drops
}

// Drops counts datagrams and packets that did not reach their destination, by reason.
type Drops struct {
	Send      uint64 // the system did not take them
	Seal      uint64 // they could not be encrypted
	Handshake uint64 // the queue of a viewer's handshake was full
	Reports   uint64 // a viewer sent more RTCP than it may, or a worker's queue was full
	Forged    uint64 // RTCP that was not the viewer's
	Guarded   uint64 // an unknown source sent more than it may
}

// Sum is the total.
func (d Drops) Sum() uint64 {
	return d.Send + d.Seal + d.Handshake + d.Reports + d.Forged + d.Guarded
}

// Stats sums up the workers' counters.
func (s *Server) Stats() Stats {
	var st Stats
	for _, w := range s.workers {
		st.Viewers += int(w.load.Load())
		st.Packets += w.stats.packets.Load()
		st.Bytes += w.stats.bytes.Load()
		st.Repaired += w.stats.repaired.Load()
		st.Unrepaired += w.stats.unrepaired.Load()
		st.Overruns += w.stats.overruns.Load()
		st.Drops.Seal += w.stats.failed.Load()
		st.Drops.Reports += w.stats.rtcpDropped.Load()
	}
	st.Drops.Send, st.Drops.Handshake = s.drops.sent.Load(), s.drops.handshake.Load()
	st.Drops.Guarded, st.Drops.Forged = s.socket.Limited(), s.drops.forged.Load()
	st.Drops.Reports += s.drops.reports.Load()
	st.Panics = s.socket.Faults().Count()
	return st
}
