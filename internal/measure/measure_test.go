package measure_test

import (
	"slices"
	"testing"
	"time"

	"siaran/internal/measure"
)

func TestHistogram(t *testing.T) {
	bounds := []time.Duration{time.Millisecond, time.Second}
	a, b := measure.New(bounds), measure.New(bounds)
	for _, d := range []time.Duration{-time.Hour, 0, time.Millisecond, time.Millisecond + 1, time.Second, time.Minute} {
		a.Observe(d)
	}
	s := a.Snapshot()
	if !slices.Equal(s.Counts, []uint64{3, 2, 1}) || s.Count() != 6 || s.Sum != 61*time.Second+2*time.Millisecond+1 {
		t.Errorf("%+v", s)
	}
	b.Observe(time.Hour)
	if sum := s.Plus(b.Snapshot()); !slices.Equal(sum.Counts, []uint64{3, 2, 2}) || sum.Sum != s.Sum+time.Hour {
		t.Errorf("%+v", sum)
	}
	if sum := (measure.Snapshot{}).Plus(s); sum.Count() != 6 {
		t.Errorf("%+v", sum)
	}
	if n := testing.AllocsPerRun(100, func() { a.Observe(time.Second) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestTally(t *testing.T) {
	var tally measure.Tally
	tally.Count("a")
	s := tally.Snapshot()
	tally.Count("a")
	tally.Count("b")
	if now := tally.Snapshot(); s["a"] != 1 || now["a"] != 2 || now["b"] != 1 {
		t.Errorf("%v, %v", s, now)
	}
}
