package firestore

import (
	"context"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// TestReconcileMany puts more live streams than fit into one transaction before a leftover.
func TestReconcileMany(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	live := make(map[siaran.BroadcastID]bool)
	var changes []siaran.Change
	for i := range sweepBatch + 5 {
		s := listingtest.State(fmt.Sprintf("s%03d", i), siaran.StatusLive)
		live[s.ID] = true
		changes = append(changes, siaran.Change{State: s})
	}
	dead := listingtest.State("z", siaran.StatusLive)
	for _, part := range [][]siaran.Change{changes[:100], changes[100:200], changes[200:], {{State: dead}}} {
		ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
		err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: part})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), testutil.Patience)
	defer cancel()
	if swept, err := f.Reconcile(ctx, "n", live); err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
	d := readDocuments(t, f.client)
	if d.streams["z"].text("status") != "offline" || d.broadcasts["z"].text("reason") != "crashed" {
		t.Errorf("left are %v and %v", d.streams["z"], d.broadcasts["z"])
	}
	for id := range live {
		if d.streams[string(id)].text("status") != "live" || d.broadcasts[string(id)].text("reason") != "" {
			t.Fatalf("%s lives, and is %v and %v", id, d.streams[string(id)], d.broadcasts[string(id)])
		}
	}
}

// TestGivenUp cancels calls before they are answered, which says nothing about the database.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	e := emulator.New(t)
	f := open(t, Config{Emulator: e.Host, Project: emulator.Project()})
	testutil.Eventually(t, "it is ready", func() bool { return f.Ready(t.Context()) == nil })
	e.Pause()
	defer e.Resume()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := f.Stream(ctx, "nobody"); err == nil {
		t.Fatal("answered")
	}
	f.health.mu.Lock()
	defer f.health.mu.Unlock()
	if f.health.failed != nil {
		t.Errorf("the database is taken to have failed: %v", f.health.failed)
	}
}

// TestNoTime leaves the database no time to answer, which says nothing about it either.
func TestNoTime(t *testing.T) {
	e := emulator.New(t)
	f := open(t, Config{Emulator: e.Host, Project: emulator.Project()})
	testutil.Eventually(t, "a pause that is shorter than what the listing's own calls wait for", func() bool {
		testutil.Eventually(t, "it is ready", func() bool { return f.Ready(t.Context()) == nil })
		began := time.Now()
		e.Pause()
		defer e.Resume()
		for _, limit := range []time.Duration{-time.Second, 50 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			_, err := f.Stream(ctx, "nobody")
			cancel()
			if err == nil {
				t.Fatal("answered")
			}
		}
		f.health.mu.Lock()
		defer f.health.mu.Unlock()
		if time.Since(began) > listing.CallTimeout {
			return false
		}
		if f.health.failed != nil {
			t.Errorf("the database is taken to have failed: %v", f.health.failed)
		}
		return true
	})
}
