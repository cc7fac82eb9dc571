package metrics

import (
	"siaran"
	"siaran/cluster"
	"siaran/egress"
	"siaran/ingest"
	"siaran/internal/tlsmux"
	"siaran/listing"
	"siaran/mediaport"
	"siaran/turn"
	"siaran/web"
)

// snapshot is what all parts of the server have counted. Parts that there are not are nil.
type snapshot struct {
	hub     siaran.HubStats
	in      ingest.Stats
	out     egress.Stats
	port    mediaport.Stats
	web     web.Stats
	door    tlsmux.Stats
	listing listing.Stats
	relay   *turn.Stats
	cluster *cluster.Stats
}

func (c *collector) snapshot() snapshot {
	s := snapshot{
		hub: c.cfg.Hub.Stats(), in: c.cfg.Ingest(), out: c.cfg.Egress(), port: c.cfg.Port(), web: c.cfg.Web(),
		door: c.cfg.Door(), listing: c.cfg.Reporter(),
	}
	if c.cfg.Relay != nil {
		relay := c.cfg.Relay()
		s.relay = &relay
	}
	if c.cfg.Cluster != nil {
		pulls := c.cfg.Cluster()
		s.cluster = &pulls
	}
	return s
}

// limit is a bound of the server, and how much of it is in use.
type limit struct {
	name       string
	used, most int
}

// limits lists the bounds of everything that clients can make grow.
func (s *snapshot) limits() []limit {
	in, out := &s.in, &s.out
	list := []limit{
		{"broadcasts", in.Sessions, in.MaxSessions},
		{"broadcast_setups", in.Setups, in.MaxSetups},
		{"viewers", out.Connected, out.MaxViewers},
		{"viewer_setups", out.Setups, out.MaxSetups},
		{"children", out.Children, out.MaxChildren},
		{"handshakes", out.Handshakes, out.MaxHandshakes},
		{"connections", s.door.Open, s.door.MaxOpen},
		{"connections_opening", s.door.Opening, s.door.MaxOpening},
		{"live_updates", s.web.Followers, s.web.MaxFollowers},
		{"joins_per_second", s.web.Joins, s.web.MaxJoins},
		{"viewer_events", s.web.ViewerStreams, s.web.MaxFollowers},
	}
	for name, offers := range s.web.Offers {
		list = append(list, limit{name + "_offers", offers.Answering, offers.Most})
	}
	if s.hub.MemoryLimit > 0 {
		list = append(list, limit{"ring_memory_bytes", int(s.hub.Memory), int(s.hub.MemoryLimit)})
	}
	if r := s.relay; r != nil {
		list = append(list, limit{"relay_allocations", r.Allocations, r.MaxAllocations},
			limit{"relay_connections", r.Connections, r.MaxConnections})
	}
	if p := s.cluster; p != nil {
		list = append(list, limit{"pulls", p.Pulls, p.MaxPulls})
	}
	if used, most, ok := descriptors(); ok {
		list = append(list, limit{"descriptors", used, most})
	}
	return list
}
