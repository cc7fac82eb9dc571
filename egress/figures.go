package egress

import (
	"cmp"
	"slices"
	"sync/atomic"
	"time"

	"siaran"
)

// figures are what is known of how a viewer is served. Its worker writes them, and anybody reads them.
type figures struct {
	loss      atomic.Uint32 // of 256 packets, by the viewer's newest reports
	roundTrip atomic.Int64  // nanoseconds; 0: not known
	bitrate   atomic.Uint64 // bits a second

	// Owned by the worker.
	octets uint32
	at     time.Time
}

const figuresTime = time.Second

// measure is called at each tick.
func (f *figures) measure(tracks []*track, now time.Time) {
	over := now.Sub(f.at)
	if over < figuresTime {
		return
	}
	var octets uint32 // wraps around as those of a sender report do
	for _, t := range tracks {
		octets += t.octets
	}
	if !f.at.IsZero() {
		f.bitrate.Store(uint64(float64(octets-f.octets) * 8 / over.Seconds()))
	}
	f.octets, f.at = octets, now
}

// report takes what a viewer has lost, of 256 packets.
func (f *figures) report(lost int, roundTrip time.Duration) {
	f.loss.Store(uint32(lost))
	if roundTrip > 0 {
		f.roundTrip.Store(int64(roundTrip))
	}
}

// watcher describes the viewer of a session. ok is false before it is connected.
func (s *session) watcher() (w siaran.Watcher, ok bool) {
	if s.child || s.viewer.Load() == nil {
		return w, false
	}
	w = siaran.Watcher{
		Viewer: s.arrived, Loss: float64(s.figures.loss.Load()) / 256,
		RoundTrip: time.Duration(s.figures.roundTrip.Load()), Bitrate: int(s.figures.bitrate.Load()),
	}
	if v := s.wishes.viewing.Load(); v != nil {
		w.Viewing = *v
	}
	return w, true
}

// Watchers returns viewers of a stream, in the order in which they came: at most limit after the first skip. total is
// how many there are.
func (s *Server) Watchers(stream siaran.StreamName, skip, limit int) (list []siaran.Watcher, total int) {
	for _, sess := range s.sessionsOf(stream) {
		if w, ok := sess.watcher(); ok {
			list = append(list, w)
		}
	}
	slices.SortFunc(list, func(a, b siaran.Watcher) int {
		return cmp.Or(a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.ID, b.ID))
	})
	total = len(list)
	list = list[min(max(skip, 0), total):]
	return list[:min(max(limit, 0), len(list))], total
}

func (s *Server) sessionsOf(stream siaran.StreamName) []*session {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*session
	for b, a := range s.audiences {
		if b.Stream() == stream {
			for sess := range a.sessions {
				list = append(list, sess)
			}
		}
	}
	return list
}

// Audience sums up the viewers of a stream.
func (s *Server) Audience(stream siaran.StreamName) (sum siaran.AudienceSum) {
	known := 0
	for _, sess := range s.sessionsOf(stream) {
		if sess.child {
			sum.Children++
			continue
		}
		w, ok := sess.watcher()
		if !ok {
			sum.Connecting++
			continue
		}
		sum.Viewers++
		sum.Bitrate += w.Bitrate
		sum.Loss += w.Loss
		if w.RoundTrip > 0 {
			sum.RoundTrip += w.RoundTrip
			known++
		}
	}
	sum.Loss /= float64(max(sum.Viewers, 1))
	sum.RoundTrip /= time.Duration(max(known, 1))
	return sum
}
