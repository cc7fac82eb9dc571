package firestore

import (
	"context"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// TestMemoryIsNoAnswer answers from memory while the database is away. Such answers say nothing about the database, and
// what is live stays live.
func TestMemoryIsNoAnswer(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	s := startStation(t, "here", Config{Emulator: p.host, Project: emulator.Project()}, short)
	listingtest.Publish(t, s.hub, "cats")
	isLive := func() bool {
		stream, err := s.f.Stream(t.Context(), "cats")
		return err == nil && stream.Status == siaran.StatusLive
	}
	testutil.Eventually(t, "memory knows that it is live", func() bool {
		rows, ok := s.f.mirror.allLive(false)
		return ok && len(rows) == 1 && isLive()
	})
	p.set(func(ctx context.Context, _ string, _ []byte) error {
		<-ctx.Done()
		return ctx.Err()
	})
	testutil.Eventually(t, "the database is away", func() bool { return !s.f.health.inContact() })
	end := time.Now().Add(shortLease + leaseMargin + 5*time.Second)
	for ; time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !isLive() {
			t.Fatal("a live stream is no longer live for readers")
		}
		if s.f.health.inContact() {
			t.Fatal("the database is taken to be there")
		}
	}
	p.set(nil)
	s.stop()
}
