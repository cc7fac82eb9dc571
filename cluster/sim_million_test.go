package cluster

import (
	"slices"
	"testing"
	"time"

	"siaran"
)

// rush has viewers come within a time, for nine tenths of the room there is.
func rush(capacity int, within time.Duration) *sim {
	s := newSim(capacity, within+60*time.Second)
	s.arrive(capacity*200, within)
	s.run(within + 20*time.Second)
	return s
}

func (s *sim) checkRush(t testing.TB, capacity, refused int) {
	t.Helper()
	most, mean := s.load()
	total := capacity * 200
	t.Logf("%d viewers: most on one server %d, mean %.0f (%.3f); %.3f redirects a viewer, %d refused, "+
		"%d joins a second at the busiest, %d writes of loads", s.viewers, most, mean, float64(most)/mean,
		float64(s.redirects)/float64(total), s.refused, s.busiest(), s.writes)
	if s.viewers != total || s.refused > refused {
		t.Errorf("%d of %d viewers are served, %d were refused", s.viewers, total, s.refused)
	}
	if most > capacity || float64(most)/mean > 1.15 {
		t.Errorf("%d on one server, %.0f on average", most, mean)
	}
	if float64(s.redirects)/float64(total) > 1.2 {
		t.Errorf("%d redirects for %d viewers", s.redirects, total)
	}
	for name, n := range s.tree.pulls {
		if n != 1 {
			t.Errorf("%s pulls %d times", name, n)
		}
	}
	for name, way := range s.tree.ways {
		if len(way) > siaran.MaxWay {
			t.Errorf("%s gets it by %v", name, way)
		}
	}
}

// checkLoss kills servers, and waits until all their viewers are back.
func (s *sim) checkLoss(t testing.TB, name string, capacity int, which func(siaran.Node) bool, slowest time.Duration) {
	t.Helper()
	before, vain := s.viewers, s.inVain
	s.gaps = nil
	s.kill(which)
	lost := before - s.viewers
	s.run(s.now + 20*time.Second)
	slices.Sort(s.gaps)
	if len(s.gaps) != lost || s.viewers != before {
		t.Fatalf("%s: %d of %d viewers are back", name, len(s.gaps), lost)
	}
	most, mean := s.load()
	p50, p99 := s.gaps[lost/2], s.gaps[lost*99/100]
	t.Logf("%s: %d viewers are back after %v (p50), %v (p99), %v at most; %d requests went to the dead; "+
		"most on one server %d, mean %.0f", name, lost, p50, p99, s.gaps[lost-1], s.inVain-vain, most, mean)
	if most > capacity {
		t.Errorf("%s: %d on one server", name, most)
	}
	if p99 > slowest {
		t.Errorf("%s: %v without a picture", name, p99)
	}
}

// losses kills one server after the other, at 60 % of the capacity.
func losses(t testing.TB, capacity int) *sim {
	s := newSim(capacity, 150*time.Second)
	s.arrive(capacity*220*6/10, 10*time.Second)
	s.run(30 * time.Second)
	named := func(name string) func(siaran.Node) bool { return func(n siaran.Node) bool { return n.Name == name } }
	s.checkLoss(t, "an edge", capacity, named("r5-5"), 8*time.Second)
	head := Rank(cats, s.nodes[22:44])[0].Name
	s.checkLoss(t, "the head of a region", capacity, named(head), 8*time.Second)
	s.checkLoss(t, "the origin", capacity, named("r0-0"), 8*time.Second)
	s.move("r3-3")
	s.checkLoss(t, "a region", capacity, func(n siaran.Node) bool { return n.Region == "r9" }, 12*time.Second)
	for i, n := range s.nodes {
		if way := s.tree.ways[n.Name]; !s.dead[i] && (len(way) == 0 || len(way) > siaran.MaxWay || way[0] != "r3-3") {
			t.Errorf("%s gets the stream by %v", n.Name, way)
		}
	}
	return s
}

// TestSimulation is 30,000 viewers. BenchmarkMillion is the whole.
func TestSimulation(t *testing.T) {
	t.Parallel()
	rush(150, 10*time.Second).checkRush(t, 150, 30)
	losses(t, 150)
}

// BenchmarkMillion has a million viewers come to 220 servers, and servers die.
func BenchmarkMillion(b *testing.B) {
	for b.Loop() {
		for _, within := range []time.Duration{60 * time.Second, 10 * time.Second} {
			b.Logf("within %v", within)
			rush(5000, within).checkRush(b, 5000, 0)
		}
		losses(b, 5000)
	}
}
