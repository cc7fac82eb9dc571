package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"siaran"
	"siaran/listing/listingtest"
)

// BenchmarkApply writes 100 joins in one update, on the disk that holds the temporary folder.
func BenchmarkApply(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "listing.db"))
	all, ids := listingtest.Viewers(0, 100)
	s := listingtest.State("cats", siaran.StatusLive)
	for b.Loop() {
		update := siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s, Joined: all}}}
		if err := l.Apply(b.Context(), update); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		update = siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s, Left: ids}}}
		if err := l.Apply(b.Context(), update); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkStreams reads the list of what is live while 1000 streams are known and 100 of them live.
func BenchmarkStreams(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "listing.db"))
	populate(b, l)
	for b.Loop() {
		list, err := l.Streams(b.Context(), siaran.StreamQuery{})
		if err != nil || len(list) != 100 {
			b.Fatal(len(list), err)
		}
	}
}

// BenchmarkStream looks up one live stream, as every viewer's arrival does.
func BenchmarkStream(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "listing.db"))
	populate(b, l)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if s, err := l.Stream(b.Context(), "s1"); err != nil || s.Status != siaran.StatusLive {
				b.Error(s, err)
			}
		}
	})
}

// BenchmarkWatch sends one change to 1000 watchers.
func BenchmarkWatch(b *testing.B) {
	l := open(b, filepath.Join(b.TempDir(), "listing.db"))
	populate(b, l)
	const n = 1000
	ctx, cancel := context.WithCancel(b.Context())
	ended, seen, ready := make(chan error, n), make(chan struct{}, n), make(chan struct{}, n)
	for range n {
		go func() {
			ended <- l.Watch(ctx, func([]siaran.Stream) { ready <- struct{}{} }, func(siaran.StreamEvent) { seen <- struct{}{} })
		}()
	}
	for range n {
		<-ready
	}
	s := listingtest.State("s0", siaran.StatusLive)
	for b.Loop() {
		s.Viewers++
		update := siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s}}}
		if err := l.Apply(b.Context(), update); err != nil {
			b.Fatal(err)
		}
		for range n {
			<-seen
		}
	}
	cancel()
	for range n {
		<-ended
	}
}

func populate(b *testing.B, l *Listing) {
	b.Helper()
	u := siaran.Update{Node: "n", At: time.Now()}
	for i := range 1000 {
		s := listingtest.State(fmt.Sprint("s", i), siaran.StatusLive)
		s.Video = &siaran.VideoState{Codec: siaran.H264, Width: 1280, Height: 720}
		if i >= 100 {
			s.Status = siaran.StatusOffline
		}
		u.Changes = append(u.Changes, siaran.Change{State: s})
	}
	if err := l.Renew(b.Context(), siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		b.Fatal(err)
	}
	if err := l.Apply(b.Context(), u); err != nil {
		b.Fatal(err)
	}
}
