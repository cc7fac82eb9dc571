package turn

import "sync/atomic"

type counters struct {
	allocations                                                             atomic.Uint64
	authOK, authWrong, authExpired, authRevoked                             atomic.Uint64
	refusedPermission, refusedQuota, refusedCapacity, refusedConnection     atomic.Uint64
	closedUnused, closedReleased, closedRevoked, closedIdle, closedSlow     atomic.Uint64
	bindings                                                                atomic.Uint64
	upDatagrams, upBytes, downDatagrams, downBytes                          atomic.Uint64
	dropForeign, dropPermission, dropUnknown, dropRate, dropQueue, dropJunk atomic.Uint64
	dropLimited                                                             atomic.Uint64
}

// Stats counts what the relay has done since it was opened. All but the first two only grow.
type Stats struct {
	Allocations, Connections       int // now
	MaxAllocations, MaxConnections int

	Allocated uint64 // allocations made
	Bindings  uint64 // STUN Binding requests answered
	Auth      AuthStats
	Refused   RefusedStats
	Closed    ClosedStats
	Up, Down  FlowStats // from clients to our media, and back
	Drops     DropStats
}

// AuthStats counts requests by the outcome of authentication.
type AuthStats struct{ OK, Wrong, Expired, Revoked uint64 }

// RefusedStats counts what the relay refused, by reason.
type RefusedStats struct {
	Permission uint64 // for an address that is not our media's
	Quota      uint64 // of a credential or a source
	Capacity   uint64 // the relay is full
	Connection uint64 // too many connections
}

// ClosedStats counts what the relay ended, by reason.
type ClosedStats struct {
	Unused   uint64 // allocations that no session used
	Released uint64 // allocations whose session ended
	Revoked  uint64 // allocations whose credential was revoked
	Idle     uint64 // connections that were silent or made no allocation
	Slow     uint64 // connections whose client did not read
}

// FlowStats counts what was relayed.
type FlowStats struct{ Datagrams, Bytes uint64 }

// DropStats counts datagrams that were not relayed, by reason.
type DropStats struct {
	Foreign    uint64 // to another port of one of our addresses
	Permission uint64 // without a permission or a channel
	Unknown    uint64 // no allocation
	Rate       uint64 // above an allocation's rate
	Queue      uint64 // the client does not read fast enough
	Junk       uint64 // not TURN
	Limited    uint64 // too many requests from a source without an allocation
}

// Stats returns the counters.
func (s *Server) Stats() Stats {
	c := &s.stats
	s.mu.RLock()
	allocations, connections := len(s.allocations), len(s.conns)
	s.mu.RUnlock()
	return Stats{
		Allocations: allocations, Connections: connections,
		MaxAllocations: s.cfg.Limits.Allocations, MaxConnections: s.cfg.Limits.Connections,
		Allocated: c.allocations.Load(), Bindings: c.bindings.Load(),
		Auth: AuthStats{c.authOK.Load(), c.authWrong.Load(), c.authExpired.Load(), c.authRevoked.Load()},
		Refused: RefusedStats{
			c.refusedPermission.Load(), c.refusedQuota.Load(), c.refusedCapacity.Load(), c.refusedConnection.Load(),
		},
		Closed: ClosedStats{
			c.closedUnused.Load(), c.closedReleased.Load(), c.closedRevoked.Load(), c.closedIdle.Load(), c.closedSlow.Load(),
		},
		Up:   FlowStats{c.upDatagrams.Load(), c.upBytes.Load()},
		Down: FlowStats{c.downDatagrams.Load(), c.downBytes.Load()},
		Drops: DropStats{
			c.dropForeign.Load(), c.dropPermission.Load(), c.dropUnknown.Load(), c.dropRate.Load(), c.dropQueue.Load(),
			c.dropJunk.Load(), c.dropLimited.Load(),
		},
	}
}
