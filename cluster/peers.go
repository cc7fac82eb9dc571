package cluster

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"siaran"
)

// shunTime is for how long a server that has failed is asked last.
const shunTime = 10 * time.Second

// Known is what is known from memory about what is live, and where. Asking it costs nothing.
type Known interface {
	// Nodes returns the servers with a valid lease.
	Nodes() []siaran.Node
	// Live returns a stream that is live. It fails with siaran.ErrNotLive if it is not, and otherwise if that is not
	// known.
	Live(name siaran.StreamName) (siaran.Stream, error)
	// Whereabouts returns where a stream is listed as live, whether or not the server that has it is still alive; false
	// if it is not.
	Whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool)
}

// Peers are the servers that share a listing with this one. Its methods may be called from any goroutine.
type Peers struct {
	self siaran.Node
	know Known
	dial func(siaran.Node) (Source, error)
	log  *slog.Logger

	mu    sync.Mutex
	links map[string]*link // by the name of the server
}

// link is a server that has been asked for something.
type link struct {
	source
	url     string
	shunned time.Time // until then
}

// NewPeers makes the peers of a server. dial makes the way to one of them; it asks nothing.
func NewPeers(self siaran.Node, know Known, dial func(siaran.Node) (Source, error), logger *slog.Logger) *Peers {
	return &Peers{self: self, know: know, dial: dial, log: logger, links: make(map[string]*link)}
}

// Stream implements Above.
func (p *Peers) Stream(_ context.Context, name siaran.StreamName) (siaran.Stream, error) {
	s, err := p.know.Live(name)
	switch {
	case errors.Is(err, siaran.ErrNotLive), err == nil && s.Node == p.self.Name: // it has just ended here
		return siaran.Stream{}, siaran.ErrUnknownStream
	case err != nil:
		return siaran.Stream{}, siaran.ErrParent
	}
	return s, nil
}

// sources implements Above: those of parents, and first those that have not failed of late.
func (p *Peers) sources(name siaran.StreamName, forChild bool) ([]source, error) {
	s, err := p.Stream(context.Background(), name)
	if err != nil {
		return nil, err
	}
	nodes := p.know.Nodes()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune(nodes)
	var good, shunned []source
	for _, n := range parents(name, p.self, s.Node, nodes, forChild) {
		l := p.link(n)
		if l == nil {
			continue
		}
		from := l.source
		from.origin = n.Name == s.Node
		if time.Now().Before(l.shunned) {
			shunned = append(shunned, from)
		} else {
			good = append(good, from)
		}
	}
	return append(good, shunned...), nil
}

// link returns the way to a server, or nil if its address is not a URL. The caller holds p.mu.
func (p *Peers) link(n siaran.Node) *link {
	if l := p.links[n.Name]; l != nil && l.url == n.URL {
		return l
	}
	log := p.log.With("parent", n.Name)
	to, err := p.dial(n)
	if err != nil {
		log.Warn("cannot pull from this server of the cluster: check its --base-url", "url", n.URL, "error", err)
		return nil
	}
	l := &link{source: source{Source: to, node: n.Name, trouble: &trouble{log: log}}, url: n.URL}
	p.links[n.Name] = l
	return l
}

// prune forgets servers that have gone. The caller holds p.mu.
func (p *Peers) prune(nodes []siaran.Node) {
	for name := range p.links {
		if !slices.ContainsFunc(nodes, func(n siaran.Node) bool { return n.Name == name }) {
			delete(p.links, name)
		}
	}
}

// failed implements Above.
func (p *Peers) failed(s source) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.links[s.node]; l != nil {
		l.shunned = time.Now().Add(shunTime)
	}
}

// brokeSince implements Above. A server that has died is found out by asking it.
func (p *Peers) brokeSince(time.Time) bool { return false }

// whereabouts implements Above.
func (p *Peers) whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool) {
	return p.know.Whereabouts(name)
}
