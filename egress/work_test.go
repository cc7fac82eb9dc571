package egress

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestWorkersBehind: time counts for which a worker has been late, and for which it still is, but no short waits.
func TestWorkersBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{}
		for range 3 {
			s.workers = append(s.workers, &worker{})
		}
		idle, busy, stuck := &s.workers[0].stats, &s.workers[1].stats, &s.workers[2].stats
		start := time.Now()
		idle.begin(start, time.Time{})
		busy.begin(start, start.Add(-tooLate))
		busy.begin(start, start.Add(-80*time.Millisecond))
		busy.due.Store(start.Add(time.Second).UnixNano())
		stuck.due.Store(start.UnixNano())
		for _, tc := range []struct{ wait, want time.Duration }{
			{0, 80 * time.Millisecond},
			{tooLate, 80 * time.Millisecond},
			{10 * time.Millisecond, 140 * time.Millisecond},
			{20 * time.Millisecond, 160 * time.Millisecond},
		} {
			time.Sleep(tc.wait)
			if w := s.Work(); w.Workers != 2 || w.Behind != tc.want {
				t.Errorf("%+v, want %v", w, tc.want)
			}
		}
		stuck.begin(time.Now(), start)
		if w := s.Work(); w.Behind != 160*time.Millisecond {
			t.Errorf("%+v when it begins", w)
		}
		time.Sleep(70 * time.Millisecond)
		if w := s.Work(); w.Behind != 230*time.Millisecond {
			t.Errorf("%+v while it lasts", w)
		}
		busy.busy.Store(int64(time.Second))
		stuck.busy.Store(int64(time.Second))
		if w := s.Work(); w.Busy != 2*time.Second {
			t.Errorf("%+v for media", w)
		}
	})
}
