package cluster

import (
	"math/rand/v2"
	"slices"
	"time"

	"siaran"
)

// sim is a cluster on paper: the real Placer and Parents of 220 servers in ten regions, viewers who come to any server
// of their region as DNS sends them, and what servers know of each other, which is as old as leases are. There is no
// media and no network. Its clock is its own.
type sim struct {
	rng     *rand.Rand
	nodes   []siaran.Node // as they are
	told    []siaran.Node // as they have last said
	placers []*Placer
	index   map[string]int
	dead    []bool
	died    []time.Duration
	tree    *tree
	origin  string
	listed  []int // viewers of the stream by second, as the origin writes them

	now    time.Duration
	events [][]arrival // by tick
	joins  [][]int     // of each server, by second

	viewers, refused, redirects, inVain, writes int
	gaps                                        []time.Duration
}

const (
	simTick  = 10 * time.Millisecond
	simLease = 20 * time.Second // with the margin
	simBack  = 3                // seconds after which the count has reached everybody
)

// arrival is a viewer's request that reaches a server.
type arrival struct {
	region, at int
	hops       int
	since      time.Duration // when the viewer lost its server; 0: it is new
}

func newSim(capacity int, span time.Duration) *sim {
	s := &sim{
		rng: rand.New(rand.NewPCG(7, 8)), nodes: servers(10, 22, capacity), index: map[string]int{},
		origin: "r0-0", events: make([][]arrival, span/simTick), listed: []int{0},
	}
	start := time.Unix(1000, 0)
	for i, n := range s.nodes {
		s.index[n.Name] = i
		p := NewPlacer(n)
		p.rand, p.now = s.rng.IntN, func() time.Time { return start.Add(s.now) }
		s.placers = append(s.placers, p)
	}
	s.told = slices.Clone(s.nodes)
	s.dead, s.died = make([]bool, len(s.nodes)), make([]time.Duration, len(s.nodes))
	s.joins = make([][]int, len(s.nodes))
	for i := range s.joins {
		s.joins[i] = make([]int, span/time.Second+1)
	}
	s.tree = newTree(s.nodes, s.origin)
	s.tree.stream = cats
	return s
}

// send has a request reach a server later: any living one of a region, if at is negative.
func (s *sim) send(a arrival, later time.Duration) {
	tick := int((s.now + later) / simTick)
	if tick >= len(s.events) {
		return
	}
	if a.at < 0 {
		near := a.region
		for a.at = near*22 + s.rng.IntN(22); s.dead[a.at]; a.at = near*22 + s.rng.IntN(22) {
			if !slices.Contains(s.dead[near*22:near*22+22], false) { // DNS knows that the region is away
				near = s.rng.IntN(10)
			}
		}
	}
	s.events[tick] = append(s.events[tick], a)
}

// arrive has n viewers come evenly within a time.
func (s *sim) arrive(n int, within time.Duration) {
	for range n {
		s.send(arrival{region: s.rng.IntN(10), at: -1}, time.Duration(s.rng.Int64N(int64(within))))
	}
}

// run goes on until a time.
func (s *sim) run(until time.Duration) {
	for ; s.now < until; s.now += simTick {
		if s.now%time.Second == 0 {
			s.tell(int(s.now / time.Second))
		}
		tick := s.now / simTick
		for i := 0; i < len(s.events[tick]); i++ {
			s.serve(s.events[tick][i])
		}
		s.events[tick] = nil
	}
}

// tell is each second: one in five servers renews its lease, as others do whose load has changed much, which all hear.
func (s *sim) tell(second int) {
	for i := range s.nodes {
		step := abs(s.nodes[i].Viewers-s.told[i].Viewers)*20 >= s.nodes[i].Capacity
		if (step || i%5 == second%5) && !s.dead[i] {
			s.writes++
			s.told[i].LeaseUntil = time.Unix(1000+int64(second), 0)
		}
		if step && !s.dead[i] {
			s.told[i].Viewers = s.nodes[i].Viewers
		}
	}
	s.listed = append(s.listed, s.viewers)
	known := s.known()
	for _, p := range s.placers {
		p.Hear(known, p.self)
	}
}

func abs(n int) int { return max(n, -n) }

// known are the servers whose lease is valid.
func (s *sim) known() []siaran.Node {
	var list []siaran.Node
	for i, n := range s.told {
		if !s.dead[i] || s.now-s.died[i] < simLease {
			list = append(list, n)
		}
	}
	return list
}

func (s *sim) serve(a arrival) {
	if s.dead[a.at] { // the browser comes back to the name of all servers
		s.inVain++
		s.send(arrival{region: a.region, at: -1, since: a.since}, time.Second+s.jitter())
		return
	}
	n := &s.nodes[a.at]
	c := s.placers[a.at].Place(Visit{
		Stream: cats, Origin: s.origin, Viewers: s.listed[max(0, len(s.listed)-simBack)], Load: n.Viewers,
		Here: s.tree.ways[n.Name] != nil, Hops: a.hops,
	})
	switch {
	case c.Here:
		if s.tree.ways[n.Name] == nil {
			s.tree.pull(*n, nil)
		}
		n.Viewers++
		s.viewers++
		s.joins[a.at][s.now/time.Second]++
		if a.since != 0 {
			s.gaps = append(s.gaps, s.now-a.since)
		}
	case c.RetryAfter != 0:
		s.refused++
		a.at, a.hops = -1, 0
		s.send(a, time.Duration(c.RetryAfter)*time.Second+s.jitter())
	default:
		s.redirects++
		a.at, a.hops = s.index[c.To.Name], a.hops+1
		s.send(a, 200*time.Millisecond+s.jitter()/5)
	}
}

func (s *sim) jitter() time.Duration { return time.Duration(s.rng.Int64N(int64(time.Second))) }

// kill ends servers without a word. Their viewers notice within two to three seconds, and come back.
func (s *sim) kill(which func(siaran.Node) bool) {
	var lost []int
	for i, n := range s.nodes {
		if !s.dead[i] && which(n) {
			s.dead[i], s.died[i] = true, s.now
			delete(s.tree.ways, n.Name)
			lost = append(lost, i)
		}
	}
	for _, i := range lost {
		for range s.nodes[i].Viewers {
			s.send(arrival{region: i / 22, at: -1, since: s.now}, 2*time.Second+s.jitter()+s.jitter())
		}
		s.viewers -= s.nodes[i].Viewers
		s.nodes[i].Viewers = 0
	}
}

// move has the broadcaster come to another server, and all who live pull from there.
func (s *sim) move(to string) {
	s.origin, s.tree.origin = to, to
	had := s.tree.ways
	s.tree.ways = map[string]siaran.Way{to: {to}}
	s.tree.known = s.known
	for name := range had {
		s.tree.pull(s.nodes[s.index[name]], nil)
	}
}

// load returns the most viewers that a living server has, and the mean.
func (s *sim) load() (most int, mean float64) {
	living := 0
	for i, n := range s.nodes {
		most = max(most, n.Viewers)
		if !s.dead[i] {
			living++
		}
	}
	return most, float64(s.viewers) / float64(living)
}

// busiest is the most joins of one server in a second.
func (s *sim) busiest() (most int) {
	for _, list := range s.joins {
		most = max(most, slices.Max(list))
	}
	return most
}
