package listing

import (
	"context"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// TestFirestoreMemoryIsNoAnswer: what a server knows by itself, and tells while the database is away, says nothing about the database. What is live stays so.
func TestFirestoreMemoryIsNoAnswer(t *testing.T) {
	t.Parallel()
	p := startProxy(t)
	s := startStation(t, "here", FirestoreConfig{Emulator: p.host, Project: emulator.Project()}, short)
	publish(t, s.hub, "cats")
	isLive := func() bool {
		stream, err := s.f.Stream(t.Context(), "cats")
		return err == nil && stream.Status == siaran.StatusLive
	}
	eventually(t, "memory knows that it is live", func() bool {
		_, ok := s.f.mirror.allLive(false)
		return ok && isLive()
	})
	p.set(func(ctx context.Context, _ string, _ []byte) error {
		<-ctx.Done()
		return ctx.Err()
	})
	eventually(t, "the database is away", func() bool { return !s.f.health.inContact() })
	for end := time.Now().Add(shortLease + leaseMargin + 5*time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if !isLive() {
			t.Fatal("what is live is not any more, for who asks")
		}
		if s.f.health.inContact() {
			t.Fatal("the database is taken to be there")
		}
	}
	p.set(nil)
	s.stop()
}
