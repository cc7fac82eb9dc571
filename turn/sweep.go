package turn

import (
	"time"

	"siaran/internal/monotonic"
)

// sweep closes what is no longer used.
func (s *Server) sweep() {
	tick := time.NewTicker(min(time.Second, s.cfg.Limits.Unused/4, s.cfg.Limits.FirstAllocation/4))
	defer tick.Stop()
	var warner limitWarner
	for {
		select {
		case <-s.closing:
			return
		case <-tick.C:
			now := s.cfg.now()
			warner.check(s, now)
			for _, a := range s.live() {
				switch {
				case monotonic.Nanos(now)-a.used.Load() > int64(s.cfg.Limits.Unused):
					s.stats.closedUnused.Add(1)
				case !s.cfg.Live(a.id):
					s.stats.closedRevoked.Add(1)
				default:
					continue
				}
				a.close()
			}
			s.sweepConns(monotonic.Nanos(now))
		}
	}
}

// limitWarner logs that the limits keep clients out, once a minute at most.
type limitWarner struct {
	at   time.Time
	seen RefusedStats
}

func (w *limitWarner) check(s *Server, now time.Time) {
	r := s.Stats().Refused
	r.Permission = 0 // anyone can try other addresses
	if r == w.seen || now.Sub(w.at) < time.Minute {
		return
	}
	s.cfg.Logger.Warn("TURN limits refused clients",
		"full", r.Capacity-w.seen.Capacity, "quota", r.Quota-w.seen.Quota, "connections", r.Connection-w.seen.Connection)
	w.at, w.seen = now, r
}
