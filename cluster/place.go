package cluster

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"siaran"
)

const (
	maxHops     = 2               // redirects of one viewer
	slack       = 0.1             // of the capacity: nobody is sent away for less, or sent on for thrice that
	memory      = 5 * time.Second // of who came, twice; until then the number of viewers has arrived
	maxRecalled = 4096            // streams
	leastWait   = 2               // seconds until somebody who is refused may come again
	mostWait    = 8
)

// Visit is a viewer who asks this server for a stream that is live somewhere in the cluster.
type Visit struct {
	Stream  siaran.StreamName
	Origin  string // the server where it is live
	Viewers int    // of the stream in all, as last heard
	Here    bool   // this server has the stream already
	Load    int    // viewers that this server has of all streams, at this moment
	Hops    int    // servers that have sent the viewer on
	Stay    bool   // the viewer has a page of this server's, and had better stay
	// Reaches reports whether the viewer can be sent to a server; nil: to any.
	Reaches func(siaran.Node) bool
}

// Choice is where a viewer is served: here, at To, or nowhere for now.
type Choice struct {
	Here       bool
	To         siaran.Node
	RetryAfter int // seconds; not 0: there is no room anywhere
}

// Placer chooses which server of a cluster serves a viewer. It asks nobody: it works with what it was last told of the
// servers, which may be seconds old, and with what it has done since. Its methods may be called from any goroutine.
type Placer struct {
	self siaran.Node
	rand func(n int) int // at random below n
	now  func() time.Time

	mu     sync.Mutex
	nodes  []siaran.Node // with a valid lease, this one perhaps among them
	near   []siaran.Node // those of the region that take viewers; nil: to be made from nodes
	places int           // regions there are
	sent   map[string]sent
	visits map[siaran.StreamName]visits
}

// sent is how many viewers have been sent to a server since it last said how many it has, which was with that lease.
type sent struct {
	lease time.Time
	count int
}

// visits are how many have asked this server for a stream in the present and the last period of memory.
type visits struct {
	since     time.Time
	now, then int
}

// NewPlacer makes the placer of a server. Of the server, Name, Region and, until Hear, Capacity count.
func NewPlacer(self siaran.Node) *Placer {
	return &Placer{
		self: self, rand: rand.IntN, now: time.Now, sent: make(map[string]sent),
		visits: make(map[siaran.StreamName]visits),
	}
}

// Hear takes what is known of the servers with a valid lease, and of this one: its capacity, how much of it is in use,
// and whether it drains. The list must not change from then on.
func (p *Placer) Hear(nodes []siaran.Node, self siaran.Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	was := p.self
	p.self.Capacity, p.self.Use, p.self.Draining = self.Capacity, self.Use, self.Draining
	if len(nodes) > 0 && len(nodes) == len(p.nodes) && &nodes[0] == &p.nodes[0] && was.Draining == self.Draining &&
		was.Capacity == self.Capacity {
		return // no news
	}
	p.nodes, p.near = nodes, nil
	if len(p.sent) > 2*len(nodes) { // most of them have gone
		clear(p.sent)
	}
}

// Place chooses a server for a viewer.
//
// The servers of the region are asked in the order of the stream's rank, with the origin first where it is: a stream
// with few viewers is on one server of each region that watches it, and on one more for every 20 viewers. Of those,
// this one serves the viewer if it is among them, or else the less loaded of two. They are full at 80 % of their
// capacity. Then come the others of the region, those of other regions, and the last fifth of the capacity.
//
// Whoever was sent here may be sent on once more, for this server knows its own load best, and then is served as long
// as there is room at all, or refused. The request counts how often, so that servers that believe odd things of each
// other cannot send anybody in circles.
func (p *Placer) Place(v Visit) Choice {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.group()
	width := p.width(v)
	room := !p.self.Draining && p.fill(v, p.self) < 1
	switch {
	case room && (v.Stay || v.Hops >= maxHops):
		return Choice{Here: true}
	case v.Hops >= maxHops:
		return p.refuse()
	}
	near := p.order(v, p.near)
	if v.Here || v.Hops > 0 { // what is here, or soon will be, need not be pulled elsewhere
		width = max(width, 1+slices.IndexFunc(near, p.isSelf))
	}
	var far []siaran.Node
	for _, limit := range []float64{softLimit, 1} {
		if c, found := p.among(v, near, width, limit); found {
			return c
		}
		if far == nil {
			far = p.order(v, p.far())
		}
		if c, found := p.among(v, far, width, limit); found {
			return c
		}
	}
	return p.refuse()
}

// group finds the servers of the region that take viewers. The caller holds p.mu.
func (p *Placer) group() {
	if p.near != nil {
		return
	}
	p.near = make([]siaran.Node, 0, 8)
	if p.takes(p.self) {
		p.near = append(p.near, p.self)
	}
	regions := make(map[string]struct{})
	for _, n := range p.nodes {
		regions[n.Region] = struct{}{}
		if n.Region == p.self.Region && !p.isSelf(n) && p.takes(n) {
			p.near = append(p.near, n)
		}
	}
	p.places = max(len(regions), 1)
}

// far returns the servers elsewhere that take viewers. The caller holds p.mu.
func (p *Placer) far() []siaran.Node {
	var list []siaran.Node
	for _, n := range p.nodes {
		if n.Region != p.self.Region && p.takes(n) {
			list = append(list, n)
		}
	}
	return list
}

// takes reports whether a server takes viewers from others.
func (p *Placer) takes(n siaran.Node) bool {
	return n.Capacity > 0 && !n.Draining && (n.URL != "" || p.isSelf(n))
}

func (p *Placer) refuse() Choice { return Choice{RetryAfter: leastWait + p.rand(mostWait-leastWait+1)} }

func (p *Placer) isSelf(n siaran.Node) bool { return n.Name == p.self.Name }

// order puts servers into the order of a stream's rank, the origin first. The caller holds p.mu.
func (p *Placer) order(v Visit, nodes []siaran.Node) []siaran.Node {
	list := Rank(v.Stream, nodes)
	if i := slices.IndexFunc(list, func(n siaran.Node) bool { return n.Name == v.Origin }); i > 0 {
		begin := list[i]
		copy(list[1:], list[:i])
		list[0] = begin
	}
	return list
}

// among chooses one of the first servers that are below a limit, if there is one. The caller holds p.mu.
func (p *Placer) among(v Visit, ranked []siaran.Node, width int, limit float64) (c Choice, found bool) {
	self := false
	var pool []siaran.Node
	for _, n := range ranked {
		switch isSelf, fill := p.isSelf(n), p.fill(v, n); {
		case isSelf && v.Here && fill < 1: // whether it is full is not for others to guess
			self = true
			width--
		case fill >= limit:
		case isSelf:
			self = true
			width--
		case v.Reaches == nil || v.Reaches(n):
			pool = append(pool, n)
			width--
		}
		if width <= 0 {
			break
		}
	}
	if len(pool) == 0 {
		return Choice{Here: self}, self
	}
	best := pool[p.rand(len(pool))]
	if other := pool[p.rand(len(pool))]; p.fill(v, other) < p.fill(v, best) {
		best = other
	}
	if self && p.fill(v, p.self) <= p.fill(v, best)+slack*float64(1+2*v.Hops) {
		return Choice{Here: true}, true
	}
	p.sent[best.Name] = sent{best.LeaseUntil, p.sentTo(best) + 1}
	return Choice{To: best}, true
}

// fill is which part of a server's capacity is taken: by the number of its viewers or by what it measures, whichever is
// more. The caller holds p.mu.
func (p *Placer) fill(v Visit, n siaran.Node) float64 {
	if n.Capacity <= 0 {
		return 1
	}
	if p.isSelf(n) {
		return max(float64(v.Load)/float64(n.Capacity), p.self.Use)
	}
	coming := p.sentTo(n)
	return max(float64(n.Viewers+coming)/float64(n.Capacity), n.Use+float64(coming)/float64(n.Capacity))
}

// sentTo is how many viewers have been sent to a server that it has not counted yet. The caller holds p.mu.
func (p *Placer) sentTo(n siaran.Node) int {
	if s := p.sent[n.Name]; s.lease.Equal(n.LeaseUntil) {
		return s.count
	}
	return 0
}

// width is on how many servers of a region a stream should be. In a rush the number of viewers comes late, so that
// those who have come here of late count as well. The caller holds p.mu.
func (p *Placer) width(v Visit) int {
	now := p.now()
	n, known := p.visits[v.Stream]
	switch age := now.Sub(n.since); {
	case age >= 2*memory:
		n = visits{since: now}
	case age >= memory:
		n = visits{since: now, then: n.now}
	}
	n.now++
	if !known && len(p.visits) >= maxRecalled {
		for other := range p.visits { // any one: a stream that many ask for is soon there again
			delete(p.visits, other)
			break
		}
	}
	p.visits[v.Stream] = n
	return 1 + max(v.Viewers/p.places, n.now+n.then)/worthAServer
}
