package listing

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// TestFirestoreEdge has a second node serve the broadcast of the first: its viewers are added up.
func TestFirestoreEdge(t *testing.T) {
	t.Parallel()
	cfg := FirestoreConfig{Project: emulator.Project()}
	origin, far := openFirestore(t, cfg), openFirestore(t, cfg)
	ctx := t.Context()
	lease := time.Now().Add(time.Hour)
	for name, f := range map[string]*Firestore{"origin": origin, "edge": far} {
		if err := f.Renew(ctx, siaran.Node{Name: name, LeaseUntil: lease}); err != nil {
			t.Fatal(err)
		}
	}
	apply := func(f *Firestore, node string, viewers int, changes ...func(*siaran.BroadcastState)) {
		t.Helper()
		s := state("cats", siaran.StatusLive)
		s.StartedAt, s.Viewers = time.Now(), viewers
		for _, c := range changes {
			c(&s)
		}
		if err := f.Apply(ctx, siaran.Update{Node: node, At: time.Now(), Changes: []siaran.Change{{State: s}}}); err != nil {
			t.Fatal(err)
		}
	}
	says := func(want int) func() bool {
		return func() bool {
			m := readDocuments(t, origin.client).streams["cats"]
			return m.number("viewers") == want && m.text("node") == "origin"
		}
	}
	apply(origin, "origin", 3)
	eventually(t, "three watch", says(3))
	apply(far, "edge", 4)
	eventually(t, "seven watch", says(7))
	apply(far, "edge", 5)
	apply(origin, "origin", 2)
	eventually(t, "two and five watch", says(7))
	apply(origin, "origin", 1)
	eventually(t, "one and five watch", says(6))
	title := "new"
	if _, err := far.Edit(ctx, "cats", siaran.StreamEdit{Title: &title}); err != nil { // makes the origin's next write look first
		t.Fatal(err)
	}
	apply(far, "edge", 8)
	eventually(t, "one and eight watch", says(9))
	if err := far.Renew(ctx, siaran.Node{Name: "edge", LeaseUntil: time.Now()}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the edge's do not count any more", says(1))
	if _, err := origin.Sweep(ctx, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its count is gone", func() bool { d := readDocuments(t, origin.client); return len(d.counts) == 0 && len(d.nodes) == 1 })
}

// TestFirestoreSweepBatches has more left behind than goes into one transaction.
func TestFirestoreSweepBatches(t *testing.T) {
	t.Parallel()
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	s := state("cats", siaran.StatusLive)
	all, _ := viewers(0, 2*sweepBatch+10)
	for _, part := range [][]siaran.Viewer{all[:sweepBatch], all[sweepBatch : 2*sweepBatch], all[2*sweepBatch:]} {
		if err := f.Apply(t.Context(), siaran.Update{Node: "dead", At: time.Now(), Changes: []siaran.Change{{State: s, Joined: part}}}); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := f.Sweep(t.Context(), ""); err != nil || n != 1 {
		// What its own listener has not told yet, it finds the next time.
		eventually(t, "the node is swept", func() bool { n, err = f.Sweep(t.Context(), ""); return err == nil && n == 1 })
	}
	if d := readDocuments(t, f.client); len(d.viewers) != 0 || len(d.nodes) != 0 || d.streams["cats"].text("status") != "offline" {
		t.Errorf("left are %+v", d)
	}
}

// TestFirestoreSweepStops has a node come back while another server sweeps it.
func TestFirestoreSweepStops(t *testing.T) {
	cfg := FirestoreConfig{Project: emulator.Project(), strict: true}
	node, sweeper, late := openFirestore(t, cfg), openFirestore(t, cfg), openFirestore(t, cfg)
	ctx := t.Context()
	watching, _ := viewers(0, 5)
	s := state("cats", siaran.StatusLive)
	if err := node.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s, Joined: watching}}}); err != nil {
		t.Fatal(err)
	}
	if ok, err := sweeper.claimSweep(ctx, "n"); err != nil || !ok {
		t.Fatalf("claimed: %v, %v", ok, err)
	}
	if ok, err := late.claimSweep(ctx, "n"); err != nil || ok {
		t.Errorf("a second server may sweep too: %v, %v", ok, err)
	}
	if err := node.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	going := sweeper.newSweep("n", func(tx *transaction) error { return sweeper.stillOurs(tx, "n") })
	if _, err := going.listed(ctx); !errors.Is(err, errBack) {
		t.Errorf("the sweep went on: %v", err)
	}
	if more, err := going.viewers(ctx); more || !errors.Is(err, errBack) {
		t.Errorf("the sweep of viewers went on: %v, %v", more, err)
	}
	if d := readDocuments(t, node.client); len(d.viewers["cats"]) != 5 || d.streams["cats"].text("status") != "live" || len(d.nodes) != 1 {
		t.Errorf("left are %+v", d)
	}
	if ok, err := late.claimSweep(ctx, "n"); err != nil || ok {
		t.Errorf("a living node may be swept: %v, %v", ok, err)
	}
}

// TestFirestoreKeep has all kinds of leftovers beside what lives.
func TestFirestoreKeep(t *testing.T) {
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	ctx := t.Context()
	lives, dead := state("lives", siaran.StatusLive), state("dead", siaran.StatusLive)
	all, ids := viewers(0, 6)
	for _, c := range []siaran.Change{{State: lives, Joined: all[:4]}, {State: dead, Joined: all[4:]}} {
		if err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{c}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Apply(ctx, siaran.Update{Node: "other", At: time.Now(), Changes: []siaran.Change{{State: state("others", siaran.StatusLive), Joined: all[:1]}}}); err != nil {
		t.Fatal(err)
	}
	before := f.Stats()
	if swept, err := f.keep(ctx, "n", map[siaran.BroadcastID]bool{lives.ID: true}); err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
	if d := readDocuments(t, f.client); len(d.viewers["lives"]) != 4 || len(d.viewers["dead"]) != 2 {
		t.Errorf("viewers were taken away before the lease: %+v", d)
	}
	asked := make(map[siaran.ViewerID]siaran.BroadcastID)
	err := f.tidy(ctx, "n", func(b siaran.BroadcastID, id siaran.ViewerID) bool {
		asked[id] = b
		return id == ids[0] || id == ids[1]
	})
	if err != nil || len(asked) != 6 || asked[ids[3]] != lives.ID || asked[ids[4]] != dead.ID {
		t.Errorf("asked for %v, %v", asked, err)
	}
	d := readDocuments(t, f.client)
	if len(d.viewers["lives"]) != 2 || len(d.viewers["dead"]) != 0 || len(d.viewers["others"]) != 1 ||
		d.streams["lives"].text("status") != "live" || d.streams["dead"].text("status") != "offline" || d.streams["others"].text("status") != "live" ||
		d.broadcasts["dead"].text("reason") != "crashed" || d.broadcasts["lives"].text("reason") != "" {
		t.Errorf("left are %+v", d)
	}
	if after := f.Stats(); after.Deletes-before.Deletes != 4 || after.Writes-before.Writes != 2 {
		t.Errorf("%d writes and %d deletes, want what was wrong alone", after.Writes-before.Writes, after.Deletes-before.Deletes)
	}
}

// TestFirestoreOwnLease has the listener of streams be faster than the one of leases.
func TestFirestoreOwnLease(t *testing.T) {
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	eventually(t, "it has listened", func() bool { _, ok := f.mirror.allLive(false); return ok })
	m := f.mirror
	m.expect("n", micros(time.Now().Add(time.Minute))) // and nothing comes
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held(mirrored{row: streamRow{Node: "n"}}).LeaseUntil == 0 {
		t.Error("a stream of our own counts as offline until our lease has come back to us")
	}
	if m.held(mirrored{row: streamRow{Node: "other"}}).LeaseUntil != 0 {
		t.Error("a stream of nobody counts as live")
	}
}

// TestFirestoreMemory reads what is live without asking the database.
func TestFirestoreMemory(t *testing.T) {
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	ctx := t.Context()
	if err := f.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		s := state(fmt.Sprint("s", i), siaran.StatusLive)
		s.StartedAt = time.Now()
		if err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s}}}); err != nil {
			t.Fatal(err)
		}
		if got, err := f.Stream(ctx, s.Stream); err != nil || got.Status != siaran.StatusLive {
			t.Errorf("right after it was written: %+v, %v", got, err) // its own writes a server sees at once
		}
	}
	eventually(t, "all is in memory", func() bool { rows, ok := f.mirror.allLive(false); return ok && len(rows) == 3 })
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
	if s, readErr := f.Stream(ctx, "s1"); err != nil || readErr != nil || s.KeyGeneration != generation || generation != 1 {
		t.Errorf("after new keys: %+v, %v, %v", s, err, readErr)
	}
}

// TestFirestoreForeignDocuments has others write nonsense where our documents are.
func TestFirestoreForeignDocuments(t *testing.T) {
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	ctx := context.Background()
	for path, m := range map[string]map[string]any{
		"nodes/odd":                {"leaseUntil": "tomorrow", "load": 3},
		"streams/odd":              {"status": "live", "node": 5, "startedAt": "now", "layers": "many", "codecs": []any{1}},
		"streams/Odd Name":         {"status": "live", "node": "odd", "visibility": true},
		"streams/odd/viewers/v":    {"node": []any{}, "joinedAt": -1},
		"streams/odd/nodes/x":      {"viewers": "all"},
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
	if err := f.Claim(ctx, "odd", "n", ""); err != nil {
		t.Error("Claim:", err)
	}
	if _, err := f.Sweep(ctx, ""); err != nil {
		t.Error("Sweep:", err)
	}
	eventually(t, "the listener has read it", f.mirror.synced)
}
