package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"siaran"
)

const (
	seenSamples = 24
	seenStreams = 6 // that stay live while viewers come; a stream is left alone for long enough that its count is written at once
	countPause  = time.Second
	// seenBound is for a machine that does much else; what is wanted is less than a second, and the benchmark measures it.
	seenBound = 5 * time.Second
)

// measureSeen broadcasts and watches on one server and looks at another, or the same, as a dashboard does. It gives the times
// from a broadcaster's first packet until its card is there, and from a viewer's offer until it is counted.
func measureSeen(t testing.TB, origin, dashboard *testServer) (cards, counts []time.Duration) {
	t.Helper()
	f := dashboard.follow(t)
	for i := range seenSamples {
		name := fmt.Sprintf("stream-%d", i)
		b := origin.broadcast(t, siaran.StreamName(name), origin.Admin, 25)
		at := f.wait("the card of "+name, func(lives map[string]streamJSON) bool { return lives[name].Status == "live" })
		cards = append(cards, at.Sub(b.firstMedia()))
		if i < seenStreams {
			defer b.stop()
		} else {
			b.stop()
		}
		f.forget()
	}
	pause := time.NewTicker(countPause + 200*time.Millisecond)
	defer pause.Stop()
	for i := range seenSamples {
		if i%seenStreams == 0 {
			<-pause.C
		}
		name := fmt.Sprintf("stream-%d", i%seenStreams)
		v := origin.watch(t, siaran.StreamName(name))
		defer v.leave()
		at := f.wait("a viewer of "+name, func(lives map[string]streamJSON) bool { return lives[name].Viewers == i/seenStreams+1 })
		counts = append(counts, at.Sub(v.asked))
		f.forget()
	}
	return cards, counts
}

// of100 is the p-th percentile.
func of100(p int, times []time.Duration) time.Duration {
	sorted := slices.Sorted(slices.Values(times))
	return sorted[min(len(sorted)*p/100, len(sorted)-1)]
}

// seenWay is a way from one server to a dashboard.
type seenWay struct {
	name string
	open func(t testing.TB) (origin, dashboard *testServer)
}

var seenBy = []seenWay{
	{"sqlite", func(t testing.TB) (_, _ *testServer) {
		s := startServer(t)
		return s, s
	}},
	{"firestore", func(t testing.TB) (origin, dashboard *testServer) {
		on, _ := useFirestore(t)
		return startServer(t, on("origin")), startBare(t, on("dashboard"))
	}},
}

func TestSeenInRealTime(t *testing.T) {
	for _, way := range seenBy {
		t.Run(way.name, func(t *testing.T) {
			origin, dashboard := way.open(t)
			cards, counts := measureSeen(t, origin, dashboard)
			for _, m := range []struct {
				what  string
				times []time.Duration
			}{{"first media to card", cards}, {"offer to count", counts}} {
				t.Logf("%s: median %v, p95 %v", m.what, of100(50, m.times), of100(95, m.times))
				if of100(95, m.times) > seenBound {
					t.Errorf("%s takes too long: %v", m.what, m.times)
				}
			}
		})
	}
}

// BenchmarkSeenInRealTime is best run with -benchtime 1x.
func BenchmarkSeenInRealTime(b *testing.B) {
	for _, way := range seenBy {
		b.Run(way.name, func(b *testing.B) {
			origin, dashboard := way.open(b)
			var cards, counts []time.Duration
			for b.Loop() {
				cards, counts = measureSeen(b, origin, dashboard)
			}
			b.ReportMetric(float64(of100(95, cards).Microseconds())/1000, "card-p95-ms")
			b.ReportMetric(float64(of100(95, counts).Microseconds())/1000, "count-p95-ms")
		})
	}
}
