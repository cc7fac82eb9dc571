package firestore

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// leaveBehind writes a broadcast and the documents of n viewers, of a server that is gone.
func leaveBehind(t testing.TB, f *Listing, node string, s siaran.BroadcastState, n int) {
	t.Helper()
	update := siaran.Update{Node: node, At: time.Now(), Changes: []siaran.Change{{State: s}}}
	if err := f.Apply(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	addViewers(t, f, node, s, n)
}

// addViewers writes documents of viewers as fast as it can.
func addViewers(t testing.TB, f *Listing, node string, s siaran.BroadcastState, n int) {
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

// TestComesBackToMany restarts a server that left many documents of viewers when it was killed. Nothing waits for them,
// they are not counted, and viewers who come now stay. By hand: SIARAN_LEFT=10000.
func TestComesBackToMany(t *testing.T) {
	t.Parallel()
	n := figure(t, "SIARAN_LEFT", 2*sweepBatch+100)
	project := emulator.Project()
	reader := open(t, Config{Project: project})
	old := listingtest.State("old", siaran.StatusLive)
	old.Stream, old.StartedAt = "cats", time.Now()
	leaveBehind(t, reader, "here", old, n)
	p, free := startProxy(t), make(chan struct{})
	p.set(holdViewers(free))

	began := time.Now()
	s := startStation(t, "here", Config{Emulator: p.host, Project: project})
	testutil.Eventually(t, "it has its lease", func() bool {
		_, err := reader.Node(t.Context(), "here")
		return err == nil
	})
	if m := readDocuments(t, reader.client); m.streams["cats"].text("status") != "offline" ||
		m.broadcasts["old"].text("reason") != "crashed" {
		t.Errorf("with its lease, the server still lists %v and %v", m.streams["cats"], m.broadcasts["old"])
	}
	cats := listingtest.Publish(t, s.hub, "cats")
	watching := []siaran.ViewerID{listingtest.Join(t, cats)}
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
	testutil.Eventually(
		t,
		"the viewers who watch now are listed, and no others",
		func() bool { return slices.Equal(listed(), watching) },
	)
	t.Logf("served after %v", time.Since(began).Round(10*time.Millisecond))
	if left := len(readDocuments(t, reader.client).viewers["cats"]); left != n+1 {
		t.Errorf("%d viewers have documents, want all that were left and one", left)
	}
	before := s.f.Stats().Deletes
	close(free)
	for range 30 {
		watching = append(watching, listingtest.Join(t, cats))
	}
	testutil.Eventually(
		t,
		"what was left behind is gone",
		func() bool { return s.read().agrees(cats, "here", watching) },
	)
	t.Logf("tidied up after %v", time.Since(began).Round(10*time.Millisecond))
	if deleted := s.f.Stats().Deletes - before; deleted != uint64(n) {
		t.Errorf("%d documents were taken away, want the %d that were left behind alone", deleted, n)
	}
	s.stop()
}

// TestDeadWithMany sweeps dead servers that had many viewers. The streams of all of them go before the viewers of any,
// and nothing of the server that sweeps has to wait.
func TestDeadWithMany(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	reader := open(t, Config{Project: project})
	for name, viewers := range map[string]int{"a-large": 2*sweepBatch + 100, "b-small": 3} {
		s := listingtest.State(name, siaran.StatusLive)
		s.StartedAt = time.Now()
		leaveBehind(t, reader, name, s, viewers)
	}
	p, free := startProxy(t), make(chan struct{})
	p.set(holdViewers(free))
	s := startStation(t, "here", Config{Emulator: p.host, Project: project}, short)
	testutil.Eventually(t, "the streams of the dead servers are offline", func() bool {
		d := readDocuments(t, reader.client)
		return d.streams["a-large"].text("status") == "offline" && d.streams["b-small"].text("status") == "offline" &&
			d.broadcasts["a-large"].text("reason") == "crashed" && d.broadcasts["b-small"].text("reason") == "crashed"
	})
	dogs := listingtest.Publish(t, s.hub, "dogs")
	v := listingtest.Join(t, dogs)
	testutil.Eventually(
		t,
		"the server writes its own stream",
		func() bool { return readDocuments(t, reader.client).agrees(dogs, "here", []siaran.ViewerID{v}) },
	)
	if d := readDocuments(t, reader.client); len(d.viewers["a-large"]) == 0 || len(d.viewers["b-small"]) == 0 {
		t.Error("viewers are gone that could not be looked for")
	}
	close(free)
	testutil.Eventually(t, "all that was left is gone", func() bool {
		d := readDocuments(t, reader.client)
		return len(d.viewers["a-large"])+len(d.viewers["b-small"]) == 0 && len(d.nodes) == 1 &&
			d.agrees(dogs, "here", []siaran.ViewerID{v})
	})
	s.stop()
}

// TestLosesSome loses some documents of viewers during an outage, as when another server took this one for dead, and
// gains some of viewers who have left. Afterwards the reporter corrects both.
func TestLosesSome(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	reader := open(t, Config{Project: project})
	p := startProxy(t)
	s := startStation(t, "here", Config{Emulator: p.host, Project: project}, short)
	cats := listingtest.Publish(t, s.hub, "cats")
	var watching []siaran.ViewerID
	for range 20 {
		watching = append(watching, listingtest.Join(t, cats))
	}
	right := func() bool { return readDocuments(t, reader.client).agrees(cats, "here", watching) }
	testutil.Eventually(t, "all viewers are written", right)
	p.set(func(context.Context, string, []byte) error { return status.Error(codes.Unavailable, "away") })
	for _, id := range watching[:7] {
		if _, err := reader.viewer("cats", id).Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b := listingtest.State(string(cats.Broadcast().ID()), siaran.StatusLive)
	b.Stream = "cats"
	addViewers(t, reader, "here", b, 5)
	time.Sleep(shortLease + leaseMargin)
	p.set(nil)
	testutil.Eventually(t, "the documents are right again", right)
	s.stop()
}
