package cluster

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"siaran"
)

// servers makes n servers for each of some regions, with room for capacity viewers each.
func servers(regions, n, capacity int) []siaran.Node {
	var list []siaran.Node
	for r := range regions {
		for i := range n {
			name := fmt.Sprintf("r%d-%d", r, i)
			list = append(list, siaran.Node{
				Name: name, URL: "https://" + name, Region: fmt.Sprintf("r%d", r), Capacity: capacity,
				LeaseUntil: time.Unix(1, 0),
			})
		}
	}
	return list
}

func without(nodes []siaran.Node, name string) []siaran.Node {
	return slices.DeleteFunc(slices.Clone(nodes), func(n siaran.Node) bool { return n.Name == name })
}

func streamOf(i int) siaran.StreamName { return siaran.StreamName(fmt.Sprintf("stream-%d", i)) }

// TestRankOfTheDead: when a server dies, the streams that it was the first for move, and no others; and they spread.
func TestRankOfTheDead(t *testing.T) {
	t.Parallel()
	nodes := servers(1, 22, 1)
	left := without(nodes, "r0-7")
	firsts, moved := map[string]int{}, map[string]int{}
	for i := range 11_000 {
		before, after := Rank(streamOf(i), nodes), Rank(streamOf(i), left)
		if !slices.EqualFunc(without(before, "r0-7"), after, func(a, b siaran.Node) bool { return a.Name == b.Name }) {
			t.Fatalf("the order of the living has changed for %s", streamOf(i))
		}
		firsts[before[0].Name]++
		if before[0].Name == "r0-7" {
			moved[after[0].Name]++
		}
	}
	for name, n := range firsts {
		if n < 400 || n > 600 {
			t.Errorf("%s is the first for %d of 11000 streams", name, n)
		}
	}
	if len(moved) != 21 {
		t.Errorf("the streams of the dead go to %d servers", len(moved))
	}
}

// TestRankStays: servers of different versions must agree.
func TestRankStays(t *testing.T) {
	t.Parallel()
	var names string
	for _, n := range Rank("cats", servers(1, 5, 1)) {
		names += n.Name + " "
	}
	if want := "r0-2 r0-1 r0-3 r0-4 r0-0 "; names != want {
		t.Errorf("%q, want %q", names, want)
	}
}

func parentNames(list []siaran.Node) []string {
	names := make([]string, len(list))
	for i, n := range list {
		names[i] = n.Name
	}
	return names
}

func TestParents(t *testing.T) {
	t.Parallel()
	nodes := servers(2, 4, 10)
	far := Rank(cats, nodes[4:])
	for _, tc := range []struct {
		name     string
		self     siaran.Node
		forChild bool
		change   func([]siaran.Node)
		want     []string
	}{
		{"the head of a region", far[0], false, nil, []string{"r0-0"}},
		{"another one there", far[2], false, nil, []string{far[0].Name, far[1].Name, "r0-0"}},
		{"the next in rank does not wait for itself", far[1], false, nil, []string{far[0].Name, far[2].Name, "r0-0"}},
		{"another one there, for a child", far[2], true, nil, []string{"r0-0"}},
		{"the origin itself", nodes[0], false, nil, []string{}},
		{"who drains is no parent", far[2], false, func(list []siaran.Node) {
			list[slices.IndexFunc(list, func(n siaran.Node) bool { return n.Name == far[0].Name })].Draining = true
		}, []string{far[1].Name, far[3].Name, "r0-0"}},
		{"unless it is the origin", far[0], false, func(list []siaran.Node) { list[0].Draining = true }, []string{"r0-0"}},
		{"an origin that nobody knows", far[0], false, func(list []siaran.Node) { list[0].Name = "x" }, []string{}},
		{"an origin without an address", far[0], false, func(list []siaran.Node) { list[0].URL = "" }, []string{}},
	} {
		list := slices.Clone(nodes)
		if tc.change != nil {
			tc.change(list)
		}
		got := parentNames(parents(cats, tc.self, "r0-0", list, tc.forChild))
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
	near := parentNames(parents(cats, nodes[3], "r0-0", nodes, false))
	if near[0] != "r0-0" {
		t.Errorf("in the region of the origin: %q", near)
	}
}

// TestWaysOfPulls: whatever servers know of each other, and whoever asks whom first, no pull goes in a circle or over
// more than three servers, and all have the stream in the end.
func TestWaysOfPulls(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(1, 2))
	nodes := servers(3, 40, 10)
	for round := range 30 {
		tree := newTree(nodes, nodes[rng.IntN(len(nodes))].Name)
		tree.known = func() []siaran.Node { // each knows most of the others
			return slices.DeleteFunc(slices.Clone(nodes), func(n siaran.Node) bool {
				return n.Name != tree.origin && rng.IntN(5) == 0
			})
		}
		for _, i := range rng.Perm(len(nodes)) {
			if way := tree.pull(nodes[i], nil); len(way) == 0 || len(way) > siaran.MaxWay {
				t.Fatalf("round %d: %s gets it by %v", round, nodes[i].Name, way)
			}
		}
	}
}

// TestRoomIsUsed: nobody is above its capacity, and nobody refused while others have room, as long as servers hear of
// each other now and then.
func TestRoomIsUsed(t *testing.T) {
	t.Parallel()
	rng := rand.New(rand.NewPCG(3, 4))
	nodes := servers(3, 4, 100)
	nodes[1].Capacity, nodes[2].Capacity = 300, 20
	total := 0
	for _, n := range nodes {
		total += n.Capacity
	}
	f := newFleet(nodes, rng)
	for i := range total {
		if i%10 == 0 {
			f.hear()
		}
		v := Visit{Stream: streamOf(i % 7), Origin: nodes[0].Name, Viewers: i / 7}
		if served, _ := f.come(t, nodes[rng.IntN(len(nodes))].Name, v); served == "" && i < total*95/100 {
			t.Fatalf("viewer %d of %d is refused: %v", i, total, f.load)
		}
	}
	for _, n := range nodes {
		if f.load[n.Name] > n.Capacity {
			t.Errorf("%s has %d of %d", n.Name, f.load[n.Name], n.Capacity)
		}
	}
}

// TestFewViewersUseOneServer of each region, and at the origin's region the origin.
func TestFewViewersUseOneServer(t *testing.T) {
	t.Parallel()
	f := newFleet(servers(2, 10, 1000), rand.New(rand.NewPCG(5, 6)))
	used := map[string]bool{}
	for i := range 40 {
		served, hops := f.come(t, fmt.Sprintf("r%d-%d", i%2, i/2%10), Visit{Stream: "cats", Origin: "r0-3", Viewers: i})
		used[served] = true
		if hops > 1 {
			t.Error("sent on twice")
		}
	}
	if !used["r0-3"] || len(used) != 2 {
		t.Errorf("%v have it", used)
	}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	nodes := servers(2, 2, 100)
	placer := func(draining bool, change func([]siaran.Node)) *Placer {
		p := NewPlacer(nodes[0])
		list := slices.Clone(nodes)
		change(list)
		self := list[0]
		self.Draining = draining
		p.Hear(list, self)
		return p
	}
	as := func([]siaran.Node) {}
	full := func(list []siaran.Node) {
		for i := range list {
			list[i].Viewers = list[i].Capacity
		}
	}
	far := func(list []siaran.Node) { list[1].Draining = true }
	busy := func(which ...int) func([]siaran.Node) {
		return func(list []siaran.Node) {
			for _, i := range which {
				list[i].Use = 1
			}
		}
	}
	for _, tc := range []struct {
		name     string
		draining bool
		change   func([]siaran.Node)
		visit    Visit
		want     string // "here", "refused", or the name of another one
	}{
		{"the origin serves who comes", false, as, Visit{Origin: "r0-0", Here: true}, "here"},
		{"who drains does not", true, as, Visit{Origin: "r0-0", Here: true}, "r0-1"},
		{"the region is full: another region", false, far, Visit{Origin: "r0-0", Load: 80}, "far"},
		{"all above 80 %: still here", false, func(list []siaran.Node) {
			for i := range list {
				list[i].Viewers = 90
			}
		}, Visit{Origin: "r0-0", Load: 85}, "here"},
		{"all full", false, full, Visit{Load: 100}, "refused"},
		{"nobody that the viewer reaches", false, as,
			Visit{Load: 100, Reaches: func(siaran.Node) bool { return false }}, "refused"},
		{"sent here, and none is much better off", false, as, Visit{Load: 29, Hops: 1}, "here"},
		{"sent here, and another is", false, as, Visit{Load: 50, Hops: 1}, "r0-1"},
		{"sent here twice", false, as, Visit{Load: 99, Hops: 2}, "here"},
		{"sent here in vain", false, as, Visit{Load: 100, Hops: 1}, "r0-1"},
		{"sent here in vain for the second time", false, as, Visit{Load: 100, Hops: 2}, "refused"},
		{"with a forged count", false, as, Visit{Load: 100, Hops: 1 << 30}, "refused"},
		{"a page of ours, and room", false, as, Visit{Load: 99, Stay: true}, "here"},
		{"a page of ours, and no room", false, as, Visit{Load: 100, Stay: true}, "r0-1"},
		{"a page of a server that drains", true, as, Visit{Stay: true}, "r0-1"},
		{"closed by what it measures", false, busy(0), Visit{Origin: "r0-0", Here: true}, "r0-1"},
		{"closed, to a page of its own", false, busy(0), Visit{Here: true, Stay: true}, "r0-1"},
		{"closed, and nobody is open", false, busy(0, 1, 2, 3), Visit{Here: true}, "refused"},
		{"closed, and sent here twice", false, busy(0), Visit{Here: true, Hops: 2}, "refused"},
		{"another one is closed", false, busy(1), Visit{Origin: "r0-1", Viewers: 100}, "here"},
		{"another one measures less", false, func(list []siaran.Node) { list[0].Use = 0.5 },
			Visit{Origin: "r0-0", Viewers: 100, Here: true}, "r0-1"},
		{"its capacity has become less", false, func(list []siaran.Node) { list[0].Capacity = 10 },
			Visit{Origin: "r0-0", Here: true, Load: 10}, "r0-1"},
	} {
		tc.visit.Stream = "cats"
		c := placer(tc.draining, tc.change).Place(tc.visit)
		got := c.To.Name
		switch {
		case c.Here:
			got = "here"
		case c.RetryAfter != 0:
			got = "refused"
		case c.To.Region == "r1":
			got = "far"
		}
		if got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestVisitsAreForgotten: names that anybody makes up take a bounded space.
func TestVisitsAreForgotten(t *testing.T) {
	t.Parallel()
	p := NewPlacer(siaran.Node{Name: "a", Capacity: 1})
	for i := range 2 * maxRecalled {
		p.Place(Visit{Stream: streamOf(i)})
	}
	if n := len(p.visits); n != maxRecalled {
		t.Errorf("%d are kept", n)
	}
}
