package listing

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"siaran"
	"siaran/internal/codec"
	"siaran/listing/listingtest"
	"siaran/listing/sqlite"
)

// steppedClock is a machine's clock that is set: the time of day jumps, and the monotonic time does not.
type steppedClock struct{ ahead atomic.Int64 } // seconds

func (c *steppedClock) now() time.Time {
	const (
		monotonic   = 1 << 63 // the flag of a time that has both readings
		secondShift = 30      // of the seconds of the time of day
	)
	t := time.Now()
	// The first field of time.Time; the source of package time documents its layout.
	wall := (*uint64)(unsafe.Pointer(&t))
	if *wall&monotonic == 0 {
		panic("a time without both readings")
	}
	*wall += uint64(c.ahead.Load()) << secondShift
	return t
}

func TestSteppedClock(t *testing.T) {
	var c steppedClock
	before := c.now()
	for _, step := range []int64{3600, -3600} {
		c.ahead.Store(step)
		after := c.now()
		if day := after.Round(0).Sub(before.Round(0)).Round(time.Minute); day != time.Duration(step)*time.Second {
			t.Fatalf("the time of day has moved by %v", day)
		}
		if passed := after.Sub(before); passed < 0 || passed > time.Minute {
			t.Fatalf("%v have passed", passed)
		}
	}
}

// TestClockIsSet sets the clock forward and back by an hour while a stream is live. It stays the same broadcast, is
// listed as live again with its viewers by the next renewal of the lease, and does not end in the history. The test
// takes real time, because a bubble of package synctest has no monotonic clock.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	var clock steppedClock
	l, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "listing.db"), sqlite.WithClock(clock.now))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	s := &server{
		hub: siaran.NewHub(30*time.Second, codec.NewFramer), listing: &flaky{Listing: l}, cancel: cancel,
		ended: make(chan error, 1),
	}
	r := NewReporter(s.hub, s.listing, siaran.Node{Name: self}, nil)
	r.now, r.renewal = clock.now, time.Second
	go func() { s.ended <- r.Run(ctx) }()
	defer s.stop(t)
	p := listingtest.Publish(t, s.hub, "cats")
	viewers := 0
	right := func() bool {
		got, err := l.Stream(t.Context(), "cats")
		records, err2 := l.Viewers(t.Context(), "cats")
		return err == nil && err2 == nil && got.Status == siaran.StatusLive && got.BroadcastID == p.Broadcast().ID() &&
			got.Viewers == viewers && len(records) == viewers
	}
	for _, step := range []int64{0, 3600, 0, -3600, 0} {
		clock.ahead.Store(step)
		listingtest.Join(t, p)
		viewers++
		for deadline := time.Now().Add(time.Minute); !right(); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				got, err := l.Stream(t.Context(), "cats")
				t.Fatalf("clock ahead by %d s, %d viewers: listed as %+v, %v", step, viewers, got, err)
			}
		}
		for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if !right() {
				t.Fatalf("clock ahead by %d s: it is listed, and then is not", step)
			}
		}
		h, err := l.Broadcasts(t.Context(), "cats", 10)
		if err != nil || len(h) != 1 || h[0].EndReason != "" || h[0].Status != siaran.StatusLive {
			t.Errorf("clock ahead by %d s: the history is %+v, %v", step, h, err)
		}
	}
}
