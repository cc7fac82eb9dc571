package cluster

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"siaran"
)

// tree is who pulls a stream from whom. Its rules are those of servers: they refuse whoever is on their own way, and
// those who would be too far.
type tree struct {
	stream siaran.StreamName
	origin string
	known  func() []siaran.Node
	byName map[string]siaran.Node
	ways   map[string]siaran.Way // of the media, the server included
	pulls  map[string]int
}

func newTree(nodes []siaran.Node, origin string) *tree {
	t := &tree{
		stream: cats, origin: origin, byName: map[string]siaran.Node{}, ways: map[string]siaran.Way{},
		pulls: map[string]int{},
	}
	t.known = func() []siaran.Node { return nodes }
	for _, n := range nodes {
		t.byName[n.Name] = n
	}
	t.ways[origin] = siaran.Way{origin}
	return t
}

// pull has a server get the stream, for itself or for those who ask it on their way. It returns the way of the media.
func (t *tree) pull(self siaran.Node, asking siaran.Way) siaran.Way {
	if asking.Check(self.Name) != nil {
		return nil
	}
	way, has := t.ways[self.Name]
	for _, p := range parents(t.stream, self, t.origin, t.known(), len(asking) > 0) {
		if has {
			break
		}
		above := t.pull(t.byName[p.Name], asking.Extended(self.Name))
		if above == nil || above.Check(self.Name) != nil {
			continue
		}
		way, has = above.Extended(self.Name), true
		t.ways[self.Name] = way
		t.pulls[self.Name]++
	}
	if !has || len(asking) > 0 && len(way) >= siaran.MaxWay {
		return nil
	}
	return way
}

// fleet is some placers with their own true loads, who hear of each other when the test says so.
type fleet struct {
	nodes   []siaran.Node
	placers map[string]*Placer
	load    map[string]int
}

func newFleet(nodes []siaran.Node, rng *rand.Rand) *fleet {
	f := &fleet{nodes: nodes, placers: map[string]*Placer{}, load: map[string]int{}}
	for _, n := range nodes {
		p := NewPlacer(n)
		p.rand = rng.IntN
		f.placers[n.Name] = p
	}
	f.hear()
	return f
}

func (f *fleet) hear() {
	list := slices.Clone(f.nodes)
	for i := range list {
		list[i].Viewers = f.load[list[i].Name]
		list[i].LeaseUntil = time.Now()
	}
	for _, p := range f.placers {
		p.Hear(list, p.self)
	}
}

// come has a viewer come to a server, and follow redirects. served is empty if there is no room.
func (f *fleet) come(t *testing.T, at string, v Visit) (served string, hops int) {
	t.Helper()
	for ; ; hops++ {
		if hops > maxHops {
			t.Fatal("a viewer is sent on for ever")
		}
		v.Hops, v.Load = hops, f.load[at]
		switch c := f.placers[at].Place(v); {
		case c.Here:
			f.load[at]++
			return at, hops
		case c.RetryAfter != 0:
			if c.RetryAfter < leastWait || c.RetryAfter > mostWait {
				t.Fatalf("come again in %d s", c.RetryAfter)
			}
			return "", hops
		default:
			at = c.To.Name
		}
	}
}
