package firestore

import (
	"bytes"
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
	"siaran/listing/internal/live"
	"siaran/listing/listingtest"
)

func renew(t *testing.T, f *Listing, n siaran.Node, lease time.Duration) {
	t.Helper()
	n.LeaseUntil = time.Now().Add(lease)
	if err := f.Renew(t.Context(), n); err != nil {
		t.Fatal(err)
	}
}

// knows waits until a server takes exactly these others to live.
func knows(t *testing.T, f *Listing, names ...string) {
	t.Helper()
	testutil.Eventually(t, fmt.Sprint("known are ", names), func() bool {
		var list []string
		for _, n := range f.Nodes() {
			list = append(list, n.Name)
		}
		return slices.Equal(list, names)
	})
}

// TestLeases has servers die, come back and say goodbye.
func TestLeases(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	here := open(t, Config{Project: project})
	a, b := open(t, Config{Project: project}), open(t, Config{Project: project})
	never := open(t, Config{Project: project, ask: time.Hour}) // hears only what the others say
	renew(t, a, siaran.Node{Name: "a"}, time.Minute)
	renew(t, b, siaran.Node{Name: "b"}, shortLease)
	died := time.Now()
	knows(t, here, "a", "b")
	knows(t, here, "a") // b has died
	if took := time.Since(died); took < shortLease {
		t.Errorf("a server is dead for others after %v", took)
	}
	renew(t, b, siaran.Node{Name: "b"}, time.Minute)
	knows(t, never, "a", "b") // at once: the lease was news
	knows(t, here, "a", "b")
	renew(t, b, siaran.Node{Name: "b"}, -time.Minute)
	knows(t, never, "a")
	knows(t, here, "a")

	twin := open(t, Config{Project: project}) // a second server of the same name
	renew(t, twin, siaran.Node{Name: "a"}, time.Minute)
	renew(t, twin, siaran.Node{Name: "a"}, -time.Minute)
	knows(t, a)
	renew(t, a, siaran.Node{Name: "a"}, time.Minute)
	knows(t, here, "a")
}

// TestNews counts what is written when a server renews its lease.
func TestNews(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	n := siaran.Node{Name: "n", URL: "https://n.example", Capacity: 100, Viewers: 50, Use: 0.5}
	for _, c := range []struct {
		what   string
		change func(*siaran.Node)
		writes uint64
	}{
		{"the first lease", func(*siaran.Node) {}, 2},
		{"nothing new", func(*siaran.Node) {}, 1},
		{"four viewers", func(n *siaran.Node) { n.Viewers += 4 }, 1},
		{"a fifth", func(n *siaran.Node) { n.Viewers++ }, 2},
		{"a little busier", func(n *siaran.Node) { n.Use += 0.09 }, 1},
		{"busier", func(n *siaran.Node) { n.Use += 0.02 }, 2},
		{"another URL", func(n *siaran.Node) { n.URL += "/live" }, 2},
		{"about to end", func(n *siaran.Node) { n.Draining = true }, 2},
		{"no limit", func(n *siaran.Node) { n.Capacity = 0 }, 2},
		{"two of 55 viewers more", func(n *siaran.Node) { n.Viewers += 2 }, 1},
		{"all gone", func(n *siaran.Node) { n.Viewers = 0 }, 2},
		{"nobody", func(*siaran.Node) {}, 1},
	} {
		testutil.Eventually(t, "it hears what it has said", func() bool { ok, _ := memoryAgrees(t.Context(), f); return ok })
		c.change(&n)
		before := f.Stats().Writes
		renew(t, f, n, time.Minute)
		if wrote := f.Stats().Writes - before; wrote != c.writes {
			t.Errorf("%s: %d writes, want %d", c.what, wrote, c.writes)
		}
	}
}

// TestServersOfBefore has servers that write their document alone, and remove nothing else of those they sweep.
func TestServersOfBefore(t *testing.T) {
	t.Parallel()
	ctx, project := t.Context(), emulator.Project()
	here := open(t, Config{Project: project})
	testutil.Eventually(t, "all leases have been read", here.mirror.synced)
	before := func(name string, lease time.Duration) {
		t.Helper()
		m := map[string]any{"url": "https://" + name + ".example", "leaseUntil": time.Now().Add(lease), "rights": true}
		if _, err := here.node(name).Set(ctx, m); err != nil {
			t.Fatal(err)
		}
	}
	before("a", time.Minute)
	update := siaran.Update{Node: "a", At: time.Now(), Changes: []siaran.Change{
		{State: listingtest.State("cats", siaran.StatusLive)},
	}}
	if err := here.Apply(ctx, update); err != nil {
		t.Fatal(err)
	}
	knows(t, here, "a") // by its stream
	if _, err := here.Live("cats"); err != nil {
		t.Errorf("its stream: %v", err)
	}
	if n, err := here.Node(ctx, "a"); err != nil || n.URL != "https://a.example" {
		t.Errorf("it is %+v, %v", n, err)
	}
	before("b", shortLease)
	knows(t, here, "a", "b")
	knows(t, here, "a")

	there := open(t, Config{Project: project})
	renew(t, there, siaran.Node{Name: "c"}, time.Minute)
	knows(t, here, "a", "c")
	if _, err := there.node("c").Delete(ctx); err != nil { // c has died, and a has swept it
		t.Fatal(err)
	}
	past := time.Now().Add(-time.Minute)
	if _, err := there.neighbour("c").Set(ctx, map[string]any{"leaseUntil": past}); err != nil {
		t.Fatal(err)
	}
	knows(t, here, "a")
	before("a", -time.Minute)
	knows(t, here)
	for range 2 {
		if _, err := here.Sweep(ctx, ""); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "nothing is left", func() bool {
		neighbours, err := here.query(ctx, here.neighbours().Query)
		return err == nil && len(neighbours) == 0 && len(readDocuments(t, here.client).nodes) == 0
	})
}

// TestLeasesWithoutIndex reads all leases when those that run out cannot be asked for.
func TestLeasesWithoutIndex(t *testing.T) {
	t.Parallel()
	p, project := startProxy(t), emulator.Project()
	p.set(func(_ context.Context, method string, message []byte) error {
		if method == "RunQuery" && bytes.Contains(message, []byte("leaseUntil")) {
			return status.Error(codes.FailedPrecondition, "The query requires an index.")
		}
		return nil
	})
	here := open(t, Config{Emulator: p.host, Project: project})
	there := open(t, Config{Project: project})
	renew(t, there, siaran.Node{Name: "there"}, shortLease)
	knows(t, here, "there")
	knows(t, here)
	if err := here.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestLateAnswers: answers that are overtaken do not count, and none that comes late makes others seem dead.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	p, project := startProxy(t), emulator.Project()
	here, there := open(t, Config{Emulator: p.host, Project: project}), open(t, Config{Project: project})
	renew(t, there, siaran.Node{Name: "there"}, time.Hour)
	knows(t, here, "there")
	m := here.mirror
	m.takeLeases(nil, here.clock.now().Add(-time.Minute), true)
	if len(here.Nodes()) != 1 {
		t.Error("an old answer counts")
	}
	p.set(func(ctx context.Context, method string, message []byte) error {
		if method == "RunQuery" && bytes.Contains(message, []byte("leaseUntil")) {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	testutil.Eventually(t, "memory is not relied on", func() bool {
		_, ok := m.lease("there")
		return !ok
	})
	for range 3 {
		if n, err := here.Node(t.Context(), "there"); err != nil || n.Name != "there" {
			t.Errorf("%+v, %v", n, err)
		}
	}
	if len(here.Nodes()) != 1 {
		t.Error("the other one seems dead")
	}
	p.set(nil)
	testutil.Eventually(t, "memory is relied on again", func() bool {
		_, ok := m.lease("there")
		return ok
	})
}

// TestLeasesByTheDatabasesTime: a server asks for the time before it judges anybody.
func TestLeasesByTheDatabasesTime(t *testing.T) {
	t.Parallel()
	f := open(t, Config{Project: emulator.Project()})
	f.clock.mu.Lock()
	f.clock.at = time.Time{}
	f.clock.mu.Unlock()
	if err := f.mirror.askLeases(t.Context()); err != nil || !f.clock.known() {
		t.Errorf("the database's time is known: %v, %v", f.clock.known(), err)
	}
	f.mirror.mu.Lock()
	defer f.mirror.mu.Unlock()
	if others := f.mirror.leases.others; others != 0 && f.valid(others) == 0 {
		t.Errorf("others live until %v", live.FromMicros(others))
	}
}

// TestManyLeases tells the leases of many servers from those that run out.
func TestManyLeases(t *testing.T) {
	t.Parallel()
	project := emulator.Project()
	here, there := open(t, Config{Project: project}), open(t, Config{Project: project})
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprintf("n%02d", i))
		renew(t, there, siaran.Node{Name: names[i]}, time.Minute)
	}
	renew(t, there, siaran.Node{Name: "x"}, -time.Minute)
	knows(t, here, names...)
	testutil.Eventually(t, "one is dead", func() bool {
		dead, ok := here.mirror.dead()
		return ok && slices.Equal(dead, []string{"x"})
	})
}
