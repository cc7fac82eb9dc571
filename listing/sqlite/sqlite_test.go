package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"siaran"
	"siaran/listing"
	"siaran/listing/listingtest"
)

func open(t testing.TB, path string, options ...Option) *Listing {
	t.Helper()
	l, err := Open(t.Context(), path, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error("Close:", err)
		}
	})
	return l
}

func TestConformance(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, 0, func(t *testing.T) listingtest.Open {
		path := filepath.Join(t.TempDir(), "listing.db")
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			return open(t, path, WithClock(now))
		}
	})
}

// TestConformanceOfTheCache: a listing behind the cache is as good as without it.
func TestConformanceOfTheCache(t *testing.T) {
	t.Parallel()
	listingtest.Run(t, 0, func(t *testing.T) listingtest.Open {
		path := filepath.Join(t.TempDir(), "listing.db")
		return func(t *testing.T, now func() time.Time) siaran.Listing {
			return listing.NewCached(open(t, path, WithClock(now)))
		}
	})
}
