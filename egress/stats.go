package egress

import (
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"siaran"
	"siaran/internal/measure"
	"siaran/internal/monotonic"
)

// Stats counts what the server has done since it started.
type Stats struct {
	Sessions  int // of viewers and children, connected or not
	Connected int // viewers
	Setups    int // viewers that are not connected yet
	Children  int // servers that pass a stream on
	Viewers   map[Audience]int
	Reasons   map[siaran.ViewingReason]int // why connected viewers get what they get

	MaxViewers, MaxSetups, MaxChildren int
	Handshakes, MaxHandshakes          int // under way

	Outcomes   map[string]uint64  // of offers: "connected", one of siaran.Refusals, or how it failed
	Endings    map[string]uint64  // of connected sessions
	Bans       map[string]uint64  // of viewers, by siaran.BannedBy
	Stages     []measure.Snapshot // how long joins took, by stage, as in StageNames
	FirstFrame measure.Snapshot   // from the offer to the first key frame on its way

	Packets, Bytes uint64
	Repaired       uint64 // packets sent again
	Unrepaired     uint64 // packets asked for that were gone, or over the viewer's budget
	Lost           uint64 // packets, as viewers report
	Overruns       uint64 // times that a viewer fell too far behind and continued from a key frame
	Keyframes      KeyframeStats
	Late           measure.Snapshot // workers' timers
	Delay          measure.Snapshot // of frames, from their last packet until they have gone to all viewers of a worker
	Panics         uint64           // each has ended one session, or cost one datagram
	Drops          Drops
}

// Audience are viewers who are alike: by their path, "direct" or "relayed", and by the size of the picture that they
// get.
type Audience struct{ Path, Layer string }

// KeyframeStats counts what makes viewers see a first picture.
type KeyframeStats struct {
	Asked  uint64 // by viewers
	Merged uint64 // of these, while another was on its way to the broadcaster
	Cached uint64 // starts from the cached key frame, which nobody had to ask for
}

// Drops counts datagrams and packets that did not reach their destination, by reason.
type Drops struct {
	Send      uint64 // the system did not take them
	Seal      uint64 // they could not be encrypted
	Handshake uint64 // the queue of a viewer's handshake was full
	Reports   uint64 // a viewer sent more RTCP than it may, or a worker's queue was full
	Forged    uint64 // RTCP that was not the viewer's
}

// workerStats is counted by the worker and read by anyone.
type workerStats struct {
	packets, bytes                atomic.Uint64
	repaired, unrepaired, lost    atomic.Uint64
	overruns, failed, rtcpDropped atomic.Uint64
	asked, merged, cached         atomic.Uint64 // key frames
	late, delay                   *measure.Histogram
	behind, busy                  atomic.Int64 // nanoseconds; see Work
	due                           atomic.Int64 // of the next turn, by monotonic.Nanos; 0: there are no viewers
}

// Stats sums up the workers' counters, and looks at every session.
func (s *Server) Stats() Stats {
	st := Stats{
		MaxViewers: s.limits.Load().MaxSessions, MaxSetups: s.cfg.MaxSetups, MaxChildren: s.limits.Load().MaxChildren,
		Handshakes: len(s.handshakes), MaxHandshakes: cap(s.handshakes),
		Outcomes: s.joins.outcomes.Snapshot(), Endings: s.joins.endings.Snapshot(), FirstFrame: s.joins.all.Snapshot(),
		Bans: s.joins.bans.Snapshot(),
	}
	for _, h := range s.joins.stages[stageAnswered:] {
		st.Stages = append(st.Stages, h.Snapshot())
	}
	for _, w := range s.workers {
		st.addWorker(w)
	}
	st.Drops.Send, st.Drops.Handshake = s.drops.sent.Load(), s.drops.handshake.Load()
	st.Drops.Forged = s.drops.forged.Load()
	st.Drops.Reports += s.drops.reports.Load()
	st.Panics = s.socket.Faults().Count()
	st.addSessions(s)
	return st
}

// Work is what the workers have done.
type Work struct {
	Packets, Bytes uint64
	Workers        int           // that have viewers
	Behind         time.Duration // for how long they have been overdue, together, if that was more than tooLate at a time
	Busy           time.Duration // that they have spent on sending media, together
}

// tooLate is when viewers' buffers begin to feel that a worker is late.
const tooLate = 50 * time.Millisecond

// begin notes the beginning of a turn that was due, whatever has woken the worker.
func (s *workerStats) begin(now, due time.Time) {
	if overdue := now.Sub(due); !due.IsZero() && overdue > tooLate {
		s.behind.Add(int64(overdue))
		s.due.Store(monotonic.Nanos(now))
	}
}

// Work sums up what workers have done. Unlike Stats it looks at no session.
func (s *Server) Work() (sum Work) {
	now := monotonic.Nanos(time.Now())
	for _, w := range s.workers {
		sum.Packets += w.stats.packets.Load()
		sum.Bytes += w.stats.bytes.Load()
		sum.Behind += time.Duration(w.stats.behind.Load())
		sum.Busy += time.Duration(w.stats.busy.Load())
		due := w.stats.due.Load()
		if due == 0 {
			continue
		}
		sum.Workers++
		if overdue := time.Duration(now - due); overdue > tooLate { // and still is
			sum.Behind += overdue
		}
	}
	return sum
}

func (st *Stats) addWorker(w *worker) {
	st.Sessions += int(w.load.Load())
	st.Packets += w.stats.packets.Load()
	st.Bytes += w.stats.bytes.Load()
	st.Repaired += w.stats.repaired.Load()
	st.Unrepaired += w.stats.unrepaired.Load()
	st.Lost += w.stats.lost.Load()
	st.Overruns += w.stats.overruns.Load()
	st.Keyframes.Asked += w.stats.asked.Load()
	st.Keyframes.Merged += w.stats.merged.Load()
	st.Keyframes.Cached += w.stats.cached.Load()
	st.Late = st.Late.Plus(w.stats.late.Snapshot())
	st.Delay = st.Delay.Plus(w.stats.delay.Snapshot())
	st.Drops.Seal += w.stats.failed.Load()
	st.Drops.Reports += w.stats.rtcpDropped.Load()
}

func (st *Stats) addSessions(s *Server) {
	s.mu.Lock()
	st.Setups, st.Children, st.Connected = s.setups, s.children, len(s.sessions)-s.setups-s.children
	list := slices.Collect(maps.Values(s.sessions))
	s.mu.Unlock()
	st.Viewers, st.Reasons = make(map[Audience]int), make(map[siaran.ViewingReason]int)
	for _, sess := range list {
		if sess.child || sess.viewer.Load() == nil {
			continue
		}
		v := sess.viewing()
		st.Viewers[Audience{sess.path(), sizeName(v)}]++
		st.Reasons[v.Reason]++
	}
}

// path names how a session is connected; empty if it is not.
func (s *session) path() string {
	switch selected := s.link.selected.Load(); {
	case selected == nil:
		return ""
	case selected.path.Relayed():
		return "relayed"
	}
	return "direct"
}

// sizes are the usual sizes of pictures, by their shorter side.
var sizes = []int{180, 240, 360, 480, 540, 720, 1080, 1440, 2160}

// sizeName names what a viewer gets: its names are few, whatever sizes broadcasters send.
func sizeName(v siaran.Viewing) string {
	side := min(v.Width, v.Height)
	switch {
	case v.Reason == siaran.ViewingStarting:
		return "starting"
	case v.Reason == siaran.ViewingSound:
		return "sound"
	case side <= 0:
		return "unknown"
	}
	for _, size := range sizes {
		if side <= size {
			return strconv.Itoa(size) + "p"
		}
	}
	return "larger"
}
