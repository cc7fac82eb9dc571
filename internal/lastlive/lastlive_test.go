package lastlive

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
)

// kept runs Keep on a hub until it is stopped.
func kept(t *testing.T, path string) (hub *siaran.Hub, stop func()) {
	t.Helper()
	hub = siaran.NewHub(time.Minute, codec.NewFramer)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Keep(ctx, path, hub, slog.New(slog.DiscardHandler))
	}()
	return hub, func() { cancel(); <-done }
}

func read(t *testing.T, path string) []siaran.BroadcastState {
	t.Helper()
	list, err := Read(path, time.Minute, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func state(stream siaran.StreamName) siaran.BroadcastState {
	return siaran.BroadcastState{
		Stream: stream, ID: siaran.BroadcastID(stream) + "-1", Owner: "key:1", StartedAt: time.Now().UTC(), TotalViewers: 3,
	}
}

func TestWhatEndsWithTheServerStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.json")
	if list := read(t, path); len(list) != 0 {
		t.Errorf("without a file there is %+v", list)
	}
	hub, stop := kept(t, path)
	hub.Expect([]siaran.BroadcastState{state("cats"), state("dogs")})
	testutil.Eventually(t, "both are written", func() bool { return len(read(t, path)) == 2 })
	if err := hub.End("dogs", siaran.EndByOwner); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "one is left", func() bool { return len(read(t, path)) == 1 })
	hub.Close()
	stop()
	list := read(t, path)
	if len(list) != 1 || list[0].Stream != "cats" || list[0].ID != "cats-1" || list[0].Owner != "key:1" ||
		list[0].TotalViewers != 3 || list[0].StartedAt.IsZero() {
		t.Errorf("there is %+v", list)
	}
	for _, now := range []time.Time{time.Now().Add(time.Hour), time.Now().Add(-time.Hour)} {
		if list, err := Read(path, time.Minute, now); err != nil || len(list) != 0 {
			t.Errorf("at %v there is %+v, %v", now, list, err)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestWhatCannotBeReadIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "live.json")
	now := time.Now().UTC().Format(time.RFC3339)
	for _, text := range []string{
		"", "{", `[]`, `{"at":"now"}`, `{"at":"` + now + `","broadcasts":[{"stream":"../../etc"}]}`,
		strings.Repeat(" ", maxFile) + "{}",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if list, err := Read(path, time.Minute, time.Now()); err == nil {
			t.Errorf("%.40q is %+v", text, list)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"at":"2026-01-01T00:00:00Z","broadcasts":[{"stream":"cats","id":"1","owner":"key:1"}]}`))
	path := filepath.Join(f.TempDir(), "live.json")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		list, err := Read(path, time.Minute, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
		if err != nil {
			return
		}
		siaran.NewHub(0, codec.NewFramer).Expect(list) // whatever it is
	})
}
