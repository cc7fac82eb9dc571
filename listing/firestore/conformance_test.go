package firestore

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"google.golang.org/grpc"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

func open(t testing.TB, cfg Config) *Listing {
	t.Helper()
	if cfg.ask == 0 {
		cfg.ask = shortLease / 3
	}
	if cfg.Emulator == "" {
		cfg.Emulator = emulator.Start(t)
	}
	cfg.dial = []grpc.DialOption{grpc.WithUnaryInterceptor(emulator.Repair)}
	f, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	askAgain(t, f)
	return f
}

// TestConformance asks the database at every read, so that what other servers wrote is seen at once.
func TestConformance(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, leaseMargin, func(t *testing.T) listingtest.Open {
		project := emulator.Project()
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			return open(t, Config{Project: project, clock: now, strict: true, Logger: testLogger(t)})
		}
	})
}

func testLogger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// TestConformanceInMemory reads what is live from memory, as servers do. Every call waits until memory agrees with the
// database.
func TestConformanceInMemory(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, leaseMargin, func(t *testing.T) listingtest.Open {
		project := emulator.Project()
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			f := open(t, Config{Project: project, clock: now, Logger: testLogger(t)})
			return &settled{f, t}
		}
	})
}

// settled waits for the memory of a listing to catch up with the database before it is used.
type settled struct {
	*Listing
	t *testing.T
}

func (s *settled) settle(ctx context.Context) {
	if s.ended.Err() == nil {
		testutil.Eventually(s.t, "memory agrees with the database", func() bool {
			if err := s.mirror.askLeases(ctx); err != nil {
				return false
			}
			agrees, err := memoryAgrees(ctx, s.Listing)
			return agrees && err == nil
		})
	}
}

func (s *settled) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	s.settle(ctx)
	return s.Listing.Stream(ctx, name)
}

func (s *settled) Streams(ctx context.Context, q siaran.StreamQuery) ([]siaran.Stream, error) {
	s.settle(ctx)
	return s.Listing.Streams(ctx, q)
}

func (s *settled) Node(ctx context.Context, name string) (siaran.Node, error) {
	s.settle(ctx)
	return s.Listing.Node(ctx, name)
}

func (s *settled) Viewers(ctx context.Context, name siaran.StreamName) ([]siaran.ViewerRecord, error) {
	s.settle(ctx)
	return s.Listing.Viewers(ctx, name)
}

func (s *settled) Broadcasts(ctx context.Context, name siaran.StreamName, limit int) ([]siaran.BroadcastRecord, error) {
	s.settle(ctx)
	return s.Listing.Broadcasts(ctx, name, limit)
}

func (s *settled) Sweep(ctx context.Context, node string) (int, error) {
	s.settle(ctx)
	return s.Listing.Sweep(ctx, node)
}

func (s *settled) Renew(ctx context.Context, node siaran.Node) error {
	s.settle(ctx)
	return s.Listing.Renew(ctx, node)
}

func (s *settled) Apply(ctx context.Context, u siaran.Update) error {
	s.settle(ctx)
	return s.Listing.Apply(ctx, u)
}
