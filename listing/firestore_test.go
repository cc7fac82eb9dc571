package listing

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
	"siaran/listing/listingtest"
)

func openFirestore(t testing.TB, cfg FirestoreConfig) *Firestore {
	t.Helper()
	if cfg.Emulator == "" {
		cfg.Emulator = emulator.Start(t)
	}
	f, err := OpenFirestore(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return f
}

// TestFirestoreConformance asks the database at every read, so that what other servers wrote is seen at once.
func TestFirestoreConformance(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, leaseMargin, func(t *testing.T) listingtest.Open {
		project := emulator.Project()
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			return openFirestore(t, FirestoreConfig{Project: project, clock: now, strict: true, Logger: testLogger(t)})
		}
	})
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// TestFirestoreConformanceInMemory reads what is live from memory, as servers do: every read is repeated until
// memory agrees with the database.
func TestFirestoreConformanceInMemory(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, leaseMargin, func(t *testing.T) listingtest.Open {
		project := emulator.Project()
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			f := openFirestore(t, FirestoreConfig{Project: project, clock: now, Logger: testLogger(t)})
			return &settled{f, t}
		}
	})
}

// settled waits for the memory of a listing to catch up with the database before it is used.
type settled struct {
	*Firestore
	t *testing.T
}

func (s *settled) settle(ctx context.Context) {
	if s.ended.Err() != nil {
		return
	}
	eventually(s.t, "memory agrees with the database", func() bool {
		snaps, err := s.query(ctx, s.streams().Where("status", "in", liveStatuses))
		if err != nil {
			return false
		}
		nodes, err := s.query(ctx, s.client.CollectionGroup("nodes").Query)
		if err != nil {
			return false
		}
		m := s.mirror
		m.mu.Lock()
		defer m.mu.Unlock()
		if !m.trusted() || len(snaps) != len(m.rows) || len(nodes) != len(m.leases)+len(m.counts) {
			return false
		}
		for _, snap := range snaps {
			if r, there := m.rows[nameOf(snap.Ref.ID)]; !there || !r.updated.Equal(snap.UpdateTime) {
				return false
			}
		}
		for _, snap := range nodes {
			if snap.Ref.Parent.Parent != nil {
				continue
			}
			name, content := nameOf(snap.Ref.ID), fields(snap.Data())
			if m.leases[name] != content.time("leaseUntil") || m.nodes[name] != readNodeDocument(name, content) {
				return false
			}
		}
		return true
	})
}

func (s *settled) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	s.settle(ctx)
	return s.Firestore.Stream(ctx, name)
}

func (s *settled) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	s.settle(ctx)
	return s.Firestore.Streams(ctx, q)
}

func (s *settled) Node(ctx context.Context, name string) (siaran.Node, error) {
	s.settle(ctx)
	return s.Firestore.Node(ctx, name)
}

func (s *settled) Viewers(ctx context.Context, name siaran.StreamName) ([]siaran.ViewerRecord, error) {
	s.settle(ctx)
	return s.Firestore.Viewers(ctx, name)
}

func (s *settled) Broadcasts(ctx context.Context, name siaran.StreamName, limit int) ([]siaran.BroadcastRecord, error) {
	s.settle(ctx)
	return s.Firestore.Broadcasts(ctx, name, limit)
}

func (s *settled) Sweep(ctx context.Context, node string) (int, error) {
	s.settle(ctx)
	return s.Firestore.Sweep(ctx, node)
}

func (s *settled) Apply(ctx context.Context, u siaran.Update) error {
	s.settle(ctx)
	return s.Firestore.Apply(ctx, u)
}

// eventually polls until ok; the time it allows is for a machine under load.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("in vain: %s", what)
		}
	}
}
