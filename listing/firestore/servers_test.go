package firestore

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// TestCostOfServers counts the operations of several servers at rest, and while viewers come and go at one. By hand:
// SIARAN_NODES=20 SIARAN_VIEWERS=1000 SIARAN_SECONDS=60.
func TestCostOfServers(t *testing.T) {
	t.Parallel()
	nodes := figure(t, "SIARAN_NODES", 3)
	viewers := figure(t, "SIARAN_VIEWERS", 100)
	period := time.Duration(figure(t, "SIARAN_SECONDS", 4)) * time.Second
	project := emulator.Project()
	var list []*station
	cfg := Config{Project: project, Presence: PresenceCounts, ask: listing.RenewPeriod}
	for i := range nodes {
		list = append(list, startStation(t, fmt.Sprintf("n%d", i), cfg))
	}
	p := listingtest.Publish(t, list[0].hub, "cats")
	for _, s := range list {
		testutil.Eventually(t, "all know all", func() bool {
			_, err := s.f.Live("cats")
			return err == nil && len(s.f.Nodes()) == nodes && s.f.migrated.Load() && !s.f.mirror.wantsAll()
		})
	}
	sum := func() (s Stats) {
		for _, l := range list {
			one := l.f.Stats()
			s.Reads += one.Reads
			s.Writes += one.Writes
			s.Deletes += one.Deletes
		}
		return s
	}
	measure := func(name string, during func()) {
		before, began := sum(), time.Now()
		during()
		took, after := time.Since(began).Seconds(), sum()
		writes, reads := after.Writes-before.Writes, after.Reads-before.Reads
		t.Logf("%d servers, %s: %.1f writes and %.1f reads a second, %d deletes", nodes, name, float64(writes)/took,
			float64(reads)/took, after.Deletes-before.Deletes)
		leases := uint64(nodes) * (uint64(took/listing.RenewPeriod.Seconds()) + 2)
		counts := uint64(took/writePause.Seconds()) + 5
		told := leases / uint64(nodes) // what the one says of its viewers when it renews its lease
		if writes > leases+counts+told || reads > 2*leases+uint64(nodes)*(counts+told) {
			t.Errorf("%s: %d writes, %d reads", name, writes, reads)
		}
	}
	measure("at rest", func() { time.Sleep(period) }) // the period
	measure(fmt.Sprintf("%d viewers come and go", viewers), func() {
		step := period / time.Duration(2*viewers)
		var ids []siaran.ViewerID
		for range viewers {
			ids = append(ids, listingtest.Join(t, p))
			time.Sleep(step) // of the period
		}
		for _, id := range ids {
			p.Broadcast().Leave(id)
			time.Sleep(step) // of the period
		}
	})
}

// TestNeighbours: what is known from memory of other servers, and of what is live on them.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	p, project := startProxy(t), emulator.Project()
	here := open(t, Config{Emulator: p.host, Project: project, grace: time.Second})
	there := open(t, Config{Project: project})
	node := siaran.Node{
		Name: "there", URL: "https://there.example", LeaseUntil: time.Now().Add(time.Hour), Viewers: 7, Region: "jkt",
		Capacity: 100, Use: 0.5, Draining: true,
	}
	gone := siaran.Node{Name: "gone", LeaseUntil: time.Now().Add(-time.Minute)}
	for _, n := range []siaran.Node{node, gone} {
		if err := there.Renew(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	state := listingtest.State("cats", siaran.StatusLive)
	update := siaran.Update{Node: "there", At: time.Now(), Changes: []siaran.Change{{State: state}}}
	if err := there.Apply(t.Context(), update); err != nil {
		t.Fatal(err)
	}
	known := func() bool {
		list := here.Nodes()
		if len(list) != 1 {
			return false
		}
		got := list[0]
		got.LeaseUntil = node.LeaseUntil // by the database's clock
		s, err := here.Live("cats")
		return got == node && err == nil && s.Node == "there" && s.BroadcastID == state.ID
	}
	testutil.Eventually(t, "the other one is known", known)
	if _, err := here.Live("dogs"); !errors.Is(err, siaran.ErrNotLive) {
		t.Errorf("what is not live: %v", err)
	}
	p.set(func(context.Context, string, []byte) error { return status.Error(codes.Unavailable, "away") })
	testutil.Eventually(t, "the database is away", func() bool {
		_, err := here.Live("dogs")
		return !errors.Is(err, siaran.ErrNotLive)
	})
	if !known() {
		t.Error("while the database is away, the other one is not known")
	}
}

// TestMoves has a broadcast go on at another server than before. What the server before writes of it counts no more,
// and another one that takes it at the same time is too late.
func TestMoves(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	proof := func(stream siaran.StreamName, id siaran.BroadcastID, owner string) string {
		return fmt.Sprint(stream, id, owner)
	}
	servers := make(map[string]*Listing)
	state := listingtest.State("cats", siaran.StatusLive)
	state.Owner, state.PeakViewers, state.TotalViewers = "key:1", 9, 12
	write := func(node string, moves int, status siaran.Status, reason siaran.EndReason) {
		t.Helper()
		s := state
		s.Moves, s.Status, s.EndReason = moves, status, reason
		if moves > 0 {
			s.PeakViewers, s.TotalViewers = 2, 3
		}
		update := siaran.Update{Node: node, At: time.Now(), Changes: []siaran.Change{{State: s}}}
		if err := servers[node].Apply(t.Context(), update); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a", "b", "c"} {
		servers[name] = open(t, Config{Project: project, Publisher: proof})
		n := siaran.Node{Name: name, LeaseUntil: time.Now().Add(time.Hour)}
		if err := servers[name].Renew(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	at := func(node string, moves int, moved bool) {
		t.Helper()
		testutil.Eventually(t, "it is at "+node, func() bool {
			w, listed := servers["c"].Whereabouts("cats")
			return listed && w.Stream.Node == node && w.Moves == moves && w.Alive && w.Moved.IsZero() != moved &&
				w.Publisher == proof("cats", state.ID, "key:1")
		})
	}
	write("a", 0, siaran.StatusLive, "")
	at("a", 0, false)
	write("b", 1, siaran.StatusLive, "")
	at("b", 1, true)
	write("a", 0, siaran.StatusInterrupted, "")
	write("c", 1, siaran.StatusLive, "")
	write("a", 0, siaran.StatusOffline, siaran.EndVanished)
	write("b", 1, siaran.StatusInterrupted, "")
	at("b", 1, true)
	h, err := servers["a"].Broadcasts(t.Context(), "cats", 10)
	if err != nil || len(h) != 1 || h[0].Node != "b" || !h[0].EndedAt.IsZero() || h[0].PeakViewers != 9 ||
		h[0].TotalViewers != 12 {
		t.Errorf("history %+v, %v", h, err)
	}
	write("b", 1, siaran.StatusOffline, siaran.EndStopped)
	testutil.Eventually(t, "it has ended", func() bool {
		_, listed := servers["c"].Whereabouts("cats")
		return !listed
	})
}
