package listing

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// leaveBehind has a broadcast and the documents of n viewers be there whose server is gone.
func leaveBehind(t testing.TB, f *Firestore, node string, s siaran.BroadcastState, n int) {
	t.Helper()
	if err := f.Apply(t.Context(), siaran.Update{Node: node, At: time.Now(), Changes: []siaran.Change{{State: s}}}); err != nil {
		t.Fatal(err)
	}
	addViewers(t, f, node, s, n)
}

// addViewers writes documents of viewers as fast as it can.
func addViewers(t testing.TB, f *Firestore, node string, s siaran.BroadcastState, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for from := 0; from < n; from += sweepBatch {
		batch := f.client.BulkWriter(ctx)
		for i := from; i < min(n, from+sweepBatch); i++ {
			m := map[string]any{"node": node, "broadcastId": string(s.ID), "joinedAt": time.Now(), "path": "direct"}
			if _, err := batch.Set(f.viewer(s.Stream, siaran.ViewerID(fmt.Sprintf("%s-%06d", s.ID, i))), m); err != nil {
				t.Fatal(err)
			}
		}
		batch.End()
	}
}

// TestFirestoreComesBackToMany has a server come back to many documents of viewers that it left when it was killed. Nothing
// waits for them, nobody counts them, and those who come now stay. By hand: SIARAN_LEFT=10000.
func TestFirestoreComesBackToMany(t *testing.T) {
	t.Parallel()
	n := figure(t, "SIARAN_LEFT", 2*sweepBatch+100)
	project := emulator.Project()
	reader := openFirestore(t, FirestoreConfig{Project: project})
	old := state("old", siaran.StatusLive)
	old.Stream, old.StartedAt = "cats", time.Now()
	leaveBehind(t, reader, "here", old, n)
	p, free := startProxy(t), make(chan struct{})
	p.set(holdViewers(free))

	began := time.Now()
	s := startStation(t, "here", FirestoreConfig{Emulator: p.host, Project: project})
	eventually(t, "it has its lease", func() bool {
		_, err := reader.Node(t.Context(), "here")
		return err == nil
	})
	if m := readDocuments(t, reader.client); m.streams["cats"].text("status") != "offline" || m.broadcasts["old"].text("reason") != "crashed" {
		t.Errorf("with its lease, the server still lists %v and %v", m.streams["cats"], m.broadcasts["old"])
	}
	cats := publish(t, s.hub, "cats")
	watching := []siaran.ViewerID{join(t, cats)}
	listed := func() []siaran.ViewerID {
		list, err := reader.Viewers(t.Context(), "cats")
		if err != nil {
			t.Error(err)
		}
		var ids []siaran.ViewerID
		for _, v := range list {
			ids = append(ids, v.ID)
		}
		return ids
	}
	eventually(t, "who watches now is listed, and nobody else", func() bool { return slices.Equal(listed(), watching) })
	t.Logf("served after %v", time.Since(began).Round(10*time.Millisecond))
	if left := len(readDocuments(t, reader.client).viewers["cats"]); left != n+1 {
		t.Errorf("%d viewers have documents, want all that were left and one", left)
	}
	before := s.f.Stats().Deletes
	close(free)
	for range 30 {
		watching = append(watching, join(t, cats))
	}
	eventually(t, "what was left behind is gone", func() bool { return s.read().agrees(cats, "here", watching) })
	t.Logf("tidied up after %v", time.Since(began).Round(10*time.Millisecond))
	if deleted := s.f.Stats().Deletes - before; deleted != uint64(n) {
		t.Errorf("%d documents were taken away, want the %d that were left behind alone", deleted, n)
	}
	s.stop()
}

// TestFirestoreDeadWithMany has a server die with many viewers. What it had live is taken away before they are, as is what
// others had that died, and nothing of the server that tidies up waits.
func TestFirestoreDeadWithMany(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	reader := openFirestore(t, FirestoreConfig{Project: project})
	for name, viewers := range map[string]int{"a-large": 2*sweepBatch + 100, "b-small": 3} {
		s := state(name, siaran.StatusLive)
		s.StartedAt = time.Now()
		leaveBehind(t, reader, name, s, viewers)
	}
	p, free := startProxy(t), make(chan struct{})
	p.set(holdViewers(free))
	s := startStation(t, "here", FirestoreConfig{Emulator: p.host, Project: project}, short)
	eventually(t, "what was live is so no more", func() bool {
		d := readDocuments(t, reader.client)
		return d.streams["a-large"].text("status") == "offline" && d.streams["b-small"].text("status") == "offline" &&
			d.broadcasts["a-large"].text("reason") == "crashed" && d.broadcasts["b-small"].text("reason") == "crashed"
	})
	dogs := publish(t, s.hub, "dogs")
	v := join(t, dogs)
	eventually(t, "the server writes what is", func() bool { return readDocuments(t, reader.client).agrees(dogs, "here", []siaran.ViewerID{v}) })
	if d := readDocuments(t, reader.client); len(d.viewers["a-large"]) == 0 || len(d.viewers["b-small"]) == 0 {
		t.Error("viewers are gone that could not be looked for")
	}
	close(free)
	eventually(t, "all that was left is gone", func() bool {
		d := readDocuments(t, reader.client)
		return len(d.viewers["a-large"])+len(d.viewers["b-small"]) == 0 && len(d.nodes) == 1 && d.agrees(dogs, "here", []siaran.ViewerID{v})
	})
	s.stop()
}

// TestFirestoreLosesSome has documents of viewers vanish, as when another server took this one for dead, and some be there of who has left.
func TestFirestoreLosesSome(t *testing.T) {
	t.Parallel()
	s := startStation(t, "here", FirestoreConfig{Project: emulator.Project()})
	cats := publish(t, s.hub, "cats")
	var watching []siaran.ViewerID
	for range 20 {
		watching = append(watching, join(t, cats))
	}
	eventually(t, "all are written", func() bool { return s.read().agrees(cats, "here", watching) })
	for _, id := range watching[:7] {
		if _, err := s.f.viewer("cats", id).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	now := s.reporter.backlog
	b := state(string(cats.Broadcast().ID()), siaran.StatusLive)
	b.Stream = "cats"
	addViewers(t, s.f, "here", b, 5)
	if now.knows(b.ID, "nobody") || !now.knows(b.ID, watching[0]) {
		t.Error("it does not know who watches")
	}
	poke(s.reporter.look)
	eventually(t, "the documents say what is", func() bool { return s.read().agrees(cats, "here", watching) })
	s.stop()
}
