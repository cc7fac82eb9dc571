package bench

import "time"

// usage is what a process has used so far.
type usage struct {
	at       time.Time
	cpu      time.Duration // user and system, all threads
	rss      uint64        // bytes
	threads  int
	switches map[string]switches // by thread
}

type switches struct{ voluntary, involuntary uint64 }

// switchesSince returns the context switches since then of the threads that still exist.
func (u usage) switchesSince(before usage) (s switches) {
	for thread, now := range u.switches {
		then := before.switches[thread]
		s.voluntary += now.voluntary - min(then.voluntary, now.voluntary)
		s.involuntary += now.involuntary - min(then.involuntary, now.involuntary)
	}
	return s
}
