package firestore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/internal/live"
	"siaran/listing/listingtest"
)

// TestSweepBatches leaves more behind than fits into one transaction.
func TestSweepBatches(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	s := listingtest.State("cats", siaran.StatusLive)
	all, _ := listingtest.Viewers(0, 2*sweepBatch+10)
	for _, part := range [][]siaran.Viewer{all[:sweepBatch], all[sweepBatch : 2*sweepBatch], all[2*sweepBatch:]} {
		update := siaran.Update{Node: "dead", At: time.Now(), Changes: []siaran.Change{{State: s, Joined: part}}}
		if err := f.Apply(t.Context(), update); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "the node is swept", func() bool { // once the listener has delivered it
		_, err := f.Sweep(t.Context(), "")
		d := readDocuments(t, f.client)
		return err == nil && len(d.viewers) == 0 && len(d.nodes) == 0 && d.streams["cats"].text("status") == "offline"
	})
}

// TestSweepStops brings a node back while another server sweeps it.
func TestSweepStops(t *testing.T) {
	cfg := Config{Project: emulator.Project(), strict: true}
	node, sweeper, late := open(t, cfg), open(t, cfg), open(t, cfg)
	ctx := t.Context()
	watching, _ := listingtest.Viewers(0, 5)
	s := listingtest.State("cats", siaran.StatusLive)
	update := siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s, Joined: watching}}}
	if err := node.Apply(ctx, update); err != nil {
		t.Fatal(err)
	}
	if ok, err := sweeper.claimSweep(ctx, "n"); err != nil || !ok {
		t.Fatalf("claimed: %v, %v", ok, err)
	}
	if ok, err := late.claimSweep(ctx, "n"); err != nil || ok {
		t.Errorf("a second server may sweep too: %v, %v", ok, err)
	}
	if err := node.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	going := sweeper.newSweep("n", func(tx *transaction) error { return sweeper.holdsSweep(tx, "n") })
	if _, err := going.listed(ctx); !errors.Is(err, errSweepLost) {
		t.Errorf("the sweep went on: %v", err)
	}
	if more, err := going.viewers(ctx); more || !errors.Is(err, errSweepLost) {
		t.Errorf("the sweep of viewers went on: %v, %v", more, err)
	}
	if d := readDocuments(t, node.client); len(d.viewers["cats"]) != 5 || d.streams["cats"].text("status") != "live" ||
		len(d.nodes) != 1 {
		t.Errorf("left are %+v", d)
	}
	if ok, err := late.claimSweep(ctx, "n"); err != nil || ok {
		t.Errorf("a living node may be swept: %v, %v", ok, err)
	}
}

// TestReconcile mixes all kinds of leftovers with what lives.
func TestReconcile(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
	ctx := t.Context()
	lives, dead := listingtest.State("lives", siaran.StatusLive), listingtest.State("dead", siaran.StatusLive)
	all, ids := listingtest.Viewers(0, 6)
	for _, c := range []siaran.Change{{State: lives, Joined: all[:4]}, {State: dead, Joined: all[4:]}} {
		if err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{c}}); err != nil {
			t.Fatal(err)
		}
	}
	others := siaran.Change{State: listingtest.State("others", siaran.StatusLive), Joined: all[:1]}
	update := siaran.Update{Node: "other", At: time.Now(), Changes: []siaran.Change{others}}
	if err := f.Apply(ctx, update); err != nil {
		t.Fatal(err)
	}
	before := f.Stats()
	if swept, err := f.Reconcile(ctx, "n", map[siaran.BroadcastID]bool{lives.ID: true}); err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
	if d := readDocuments(t, f.client); len(d.viewers["lives"]) != 4 || len(d.viewers["dead"]) != 2 {
		t.Errorf("viewers were taken away before the lease: %+v", d)
	}
	asked := make(map[siaran.ViewerID]siaran.BroadcastID)
	err := f.ReconcileViewers(ctx, "n", func(b siaran.BroadcastID, id siaran.ViewerID) bool {
		asked[id] = b
		return id == ids[0] || id == ids[1]
	})
	if err != nil || len(asked) != 6 || asked[ids[3]] != lives.ID || asked[ids[4]] != dead.ID {
		t.Errorf("asked for %v, %v", asked, err)
	}
	d := readDocuments(t, f.client)
	if len(d.viewers["lives"]) != 2 || len(d.viewers["dead"]) != 0 || len(d.viewers["others"]) != 1 ||
		d.streams["lives"].text("status") != "live" || d.streams["dead"].text("status") != "offline" ||
		d.streams["others"].text("status") != "live" ||
		d.broadcasts["dead"].text("reason") != "crashed" || d.broadcasts["lives"].text("reason") != "" {
		t.Errorf("left are %+v", d)
	}
	if after := f.Stats(); after.Deletes-before.Deletes != 4 || after.Writes-before.Writes != 2 {
		t.Errorf(
			"%d writes and %d deletes, want what was wrong alone",
			after.Writes-before.Writes,
			after.Deletes-before.Deletes,
		)
	}
}

// TestOwnLease makes the listener of streams faster than the one of nodes.
func TestOwnLease(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
	testutil.Eventually(t, "it has listened", func() bool { _, ok := f.mirror.allLive(false); return ok })
	m := f.mirror
	m.expectLease("n", live.Micros(time.Now().Add(time.Minute)), time.Now().Add(time.Hour)) // and nothing comes
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.leased(mirrored{row: live.Row{Stream: siaran.Stream{Node: "n"}}}).LeaseUntil == 0 {
		t.Error("a stream of our own counts as offline until the listener delivers our lease")
	}
	if m.leased(mirrored{row: live.Row{Stream: siaran.Stream{Node: "other"}}}).LeaseUntil != 0 {
		t.Error("a stream on an unknown node counts as live")
	}
}

// TestMemory reads what is live without asking the database.
func TestMemory(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
	ctx := t.Context()
	if err := f.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s := listingtest.State(fmt.Sprint("s", i), siaran.StatusLive)
		s.StartedAt = time.Now()
		if err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Stream(ctx, s.Stream); err != nil || got.Status != siaran.StatusLive {
			t.Errorf("right after it was written: %+v, %v", got, err) // its own writes a server sees at once
		}
	}
	testutil.Eventually(
		t,
		"all is in memory",
		func() bool { rows, ok := f.mirror.allLive(false); return ok && len(rows) == 3 },
	)
	before := f.Stats()
	for range 50 {
		if s, err := f.Stream(ctx, "s1"); err != nil || s.Status != siaran.StatusLive {
			t.Fatalf("%+v, %v", s, err)
		}
		if list, err := f.Streams(ctx, siaran.StreamQuery{}); err != nil || len(list) != 3 {
			t.Fatalf("%+v, %v", list, err)
		}
	}
	if n := f.Stats().Reads - before.Reads; n > 5 {
		t.Errorf("%d documents were read, want none", n)
	}
	generation, err := f.RotateKeys(ctx, "s1")
	if s, readErr := f.Stream(ctx, "s1"); err != nil || readErr != nil || s.KeyGeneration != generation ||
		generation != 1 {
		t.Errorf("after new keys: %+v, %v, %v", s, err, readErr)
	}
}

// TestForeignDocuments puts nonsense where our documents are, and what an older version left there.
func TestForeignDocuments(t *testing.T) {
	f := open(t, Config{Project: emulator.Project()})
	ctx := context.Background()
	for path, m := range map[string]map[string]any{
		"nodes/odd":                {"leaseUntil": "tomorrow", "load": 3},
		"streams/odd":              {"status": "live", "node": 5, "startedAt": "now", "layers": "many", "codecs": []any{1}},
		"streams/Odd Name":         {"status": "live", "node": "odd", "visibility": true},
		"streams/odd/viewers/v":    {"node": []any{}, "joinedAt": -1},
		"streams/odd/nodes/x":      {"viewers": "all"},
		"streams/odd/nodes/old":    {"node": "old", "broadcastId": "b", "viewers": 5}, // left by an older version
		"streams/odd/broadcasts/b": {"startedAt": time.Now(), "endedAt": false, "reason": 1},
	} {
		if _, err := f.client.Doc(path).Set(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := f.Streams(ctx, siaran.StreamQuery{All: true, Private: true}); err != nil || len(list) != 2 {
		t.Errorf("listed are %+v, %v", list, err)
	}
	if list, err := f.Viewers(ctx, "odd"); err != nil || len(list) != 0 {
		t.Errorf("viewers %+v, %v", list, err)
	}
	if list, err := f.Broadcasts(ctx, "odd", 10); err != nil || len(list) != 1 {
		t.Errorf("history %+v, %v", list, err)
	}
	if err := f.Claim(ctx, "odd", "n", "", 0); err != nil {
		t.Error("Claim:", err)
	}
	if _, err := f.Sweep(ctx, ""); err != nil {
		t.Error("Sweep:", err)
	}
	testutil.Eventually(t, "the listener has read it", f.mirror.synced)
}
