package listing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/listing/listingtest"
)

func TestBacklogForgetsWhatWasNeverTried(t *testing.T) {
	b := newBacklog()
	all, ids := listingtest.Viewers(0, 3)
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Joined: all[:1]}})
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Joined: all[1:2], Left: ids[:1]}})
	now := time.Now()
	parts := b.next(now) // tries v1, and nobody knows with what result
	if len(parts) != 1 || len(parts[0].change.Joined) != 1 || len(parts[0].change.Left) != 0 {
		t.Fatalf("got %+v, want v1 alone", parts)
	}
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Joined: all[2:3], Left: ids[1:2]}})
	parts = b.next(now)
	if c := parts[0].change; len(c.Joined) != 1 || c.Joined[0].ID != "v2" || len(c.Left) != 1 || c.Left[0] != "v1" {
		t.Fatalf("got %+v, want that v2 joins and v1 leaves", c)
	}
	b.wrote(parts, now)
	if parts := b.next(now.Add(time.Hour)); parts != nil {
		t.Errorf("%+v are left to be written", parts)
	}
	if n := b.audience(); n != 1 {
		t.Errorf("%d watch, want 1", n)
	}
}

// TestBacklogLeavesOutWhatIsPulled, also if it has begun here.
func TestBacklogLeavesOutWhatIsPulled(t *testing.T) {
	b := newBacklog()
	here, there := listingtest.State("a", siaran.StatusLive), listingtest.State("b", siaran.StatusLive)
	there.Pulled = true
	b.add([]siaran.Change{{State: here}, {State: there}})
	if parts := b.next(time.Now()); len(parts) != 1 || parts[0].change.State.Stream != "a" {
		t.Errorf("%+v are to be written", parts)
	}
	here.Pulled = true
	b.add([]siaran.Change{{State: here}})
	if parts := b.next(time.Now().Add(time.Hour)); len(parts) != 0 || len(b.living()) != 0 {
		t.Errorf("%+v are to be written, %v live", parts, b.living())
	}
}

// TestBacklogPortions adds more than fits into one update.
func TestBacklogPortions(t *testing.T) {
	b := newBacklog()
	all, ids := listingtest.Viewers(0, 5*maxRecords/2)
	b.add(
		[]siaran.Change{
			{State: listingtest.State("a", siaran.StatusLive), Joined: all},
			{State: listingtest.State("b", siaran.StatusLive)},
		},
	)
	now := time.Now()
	drain := func() (records, updates int) {
		for parts := b.next(now); parts != nil; parts = b.next(now) {
			n := 0
			for _, p := range parts {
				n += len(p.change.Joined) + len(p.change.Left)
			}
			if n > maxRecords {
				t.Fatalf("an update of %d records", n)
			}
			records, updates = records+n, updates+1
			b.wrote(parts, now)
		}
		return records, updates
	}
	if records, updates := drain(); records != len(all) || updates != 3 {
		t.Errorf("%d records in %d updates, want %d in 3", records, updates, len(all))
	}
	b.add(
		[]siaran.Change{
			{State: listingtest.State("a", siaran.StatusOffline), Left: ids},
			{State: listingtest.State("b", siaran.StatusOffline)},
		},
	)
	if records, _ := drain(); records != len(all) {
		t.Errorf("%d records, want %d", records, len(all))
	}
	if len(b.entries) != 0 || len(b.byID) != 0 {
		t.Errorf("%d broadcasts are kept after their end", len(b.entries))
	}
}

// TestBacklogUrgent begins more streams at once than fit into one update.
func TestBacklogUrgent(t *testing.T) {
	b := newBacklog()
	for i := range 2*maxUrgent + 1 {
		b.add([]siaran.Change{{State: listingtest.State(fmt.Sprint("b", i), siaran.StatusLive)}})
	}
	now := time.Now()
	var sizes []int
	for parts := b.next(now); parts != nil; parts = b.next(now) {
		sizes = append(sizes, len(parts))
		b.wrote(parts, now)
	}
	if !slices.Equal(sizes, []int{maxUrgent, maxUrgent, 1}) {
		t.Errorf("updates of %v broadcasts", sizes)
	}
}

// TestBacklogBounded keeps the listing away for very long.
func TestBacklogBounded(t *testing.T) {
	b := newBacklog()
	all, ids := listingtest.Viewers(0, maxLeaves+1)
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Joined: all}})
	b.restart(true) // as if all had been tried
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Left: ids[:maxLeaves]}})
	if _, overflow := b.trim(); overflow {
		t.Error("overflows too early")
	}
	b.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Left: ids[maxLeaves:]}})
	if _, overflow := b.trim(); !overflow {
		t.Error("does not overflow")
	}
	for i := range maxFinished + 5 {
		b.add([]siaran.Change{{State: listingtest.State(fmt.Sprint("b", i), siaran.StatusOffline)}})
	}
	if lost, _ := b.trim(); lost != 5 || len(b.entries) != maxFinished+1 || len(b.byID) != maxFinished+1 {
		t.Errorf("lost %d, kept %d, want 5 and %d", lost, len(b.entries), maxFinished+1)
	}
	if b.byID["a"] == nil || b.byID["b4"] != nil || b.byID["b5"] == nil {
		t.Error("it is not the oldest that were given up")
	}
}

func BenchmarkBacklog(b *testing.B) {
	log := newBacklog()
	all, ids := listingtest.Viewers(0, 100)
	now := time.Now()
	for b.Loop() {
		log.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Joined: all}})
		now = now.Add(time.Minute)
		log.wrote(log.next(now), now)
		log.add([]siaran.Change{{State: listingtest.State("a", siaran.StatusLive), Left: ids}})
		now = now.Add(time.Minute)
		log.wrote(log.next(now), now)
	}
}

// TestBacklogDelaysNobody ends a broadcast with many viewers while others begin and get viewers.
func TestBacklogDelaysNobody(t *testing.T) {
	b := newBacklog()
	all, ids := listingtest.Viewers(0, 10*maxRecords)
	b.add(
		[]siaran.Change{
			{State: listingtest.State("large", siaran.StatusLive), Joined: all},
			{State: listingtest.State("small", siaran.StatusLive)},
		},
	)
	now := time.Now()
	for parts := b.next(now); parts != nil; parts = b.next(now) {
		b.wrote(parts, now)
	}
	few, _ := listingtest.Viewers(-3, 0)
	b.add([]siaran.Change{
		{State: listingtest.State("large", siaran.StatusOffline), Left: ids},
		{State: listingtest.State("small", siaran.StatusLive), Joined: few},
		{State: listingtest.State("new", siaran.StatusLive)},
	})
	now = now.Add(time.Minute)
	parts := b.next(now)
	records := make(map[siaran.BroadcastID]int)
	for _, p := range parts {
		records[p.change.State.ID] = len(p.change.Joined) + len(p.change.Left)
	}
	if len(parts) != 3 || records["large"] == 0 || records["small"] != len(few) ||
		records["large"]+records["small"] > maxRecords+minRecords {
		t.Errorf("the first update has %v", records)
	}
	b.wrote(parts, now)
	b.add([]siaran.Change{{State: listingtest.State("newer", siaran.StatusLive)}})
	if parts := b.next(now); len(parts) != 2 || parts[0].change.State.ID != "newer" ||
		len(parts[1].change.Left) < maxRecords/2 {
		t.Errorf("the second update has %d parts", len(parts))
	}
	if !b.pressing() {
		t.Error("nothing is pressing, though a broadcast has begun")
	}
}

// TestBacklogKeepsThoseWhoStay ends a broadcast with more viewers than fit into one update. They stay for the next one.
func TestBacklogKeepsThoseWhoStay(t *testing.T) {
	b := newBacklog()
	all, ids := listingtest.Viewers(0, 2*maxRecords)
	first, next := listingtest.State("a", siaran.StatusLive), listingtest.State("b", siaran.StatusLive)
	next.Stream = first.Stream
	b.add([]siaran.Change{{State: first, Joined: all}})
	b.restart(true) // as if all had been tried
	over := first
	over.Status = siaran.StatusOffline
	b.add([]siaran.Change{{State: over, Left: ids}})
	now := time.Now()
	parts := b.next(now)
	if len(parts) != 1 || len(parts[0].change.Left) != maxRecords {
		t.Fatalf("the first update is %+v", parts)
	}
	b.wrote(parts, now)
	b.add([]siaran.Change{{State: next, Joined: all}})
	joined := 0
	for parts := b.next(now); parts != nil; parts = b.next(now) {
		for _, p := range parts {
			joined += len(p.change.Joined)
			if len(p.change.Left) > 0 {
				t.Fatalf("%d viewers of the next broadcast are removed", len(p.change.Left))
			}
		}
		b.wrote(parts, now)
		now = now.Add(countPause)
	}
	if joined != len(all) || b.audience() != len(all) {
		t.Errorf("%d have joined, %d watch", joined, b.audience())
	}
}
