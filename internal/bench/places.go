package bench

import (
	"maps"
	"net/netip"
	"net/url"
	"slices"
)

const maxPlaces = 100

// gate is an endpoint to watch, and the address from which we reach it.
type gate struct {
	endpoint
	local netip.Addr
}

// place is the part of the audience that one server has.
type place struct {
	latency histogram // of stamped packets, in the measured time
	viewers int       // guarded by the audience
}

// placeOf returns the place of a session's server, which may be another one than was asked.
func (c *audience) placeOf(session *url.URL) *place {
	c.mu.Lock()
	defer c.mu.Unlock()
	host := session.Host
	if c.places[host] == nil && len(c.places) >= maxPlaces {
		host = "other"
	}
	if c.places[host] == nil {
		c.places[host] = &place{}
	}
	return c.places[host]
}

// next returns the endpoint for one more viewer: each in turn.
func (c *audience) next() gate {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.gates[c.turn%len(c.gates)]
	c.turn++
	return g
}

// perServer reports on each server that has viewers.
func (c *audience) perServer() (list []ServerShare) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, host := range slices.Sorted(maps.Keys(c.places)) {
		if p := c.places[host]; p.viewers > 0 {
			list = append(list, ServerShare{Host: host, Viewers: p.viewers, Latency: p.latency.spread()})
		}
	}
	return list
}
