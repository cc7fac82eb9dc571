package egress

import (
	"hash/maphash"
	"net/netip"
	"time"
)

const (
	guardSlots  = 1 << 12
	guardWindow = 100 * time.Millisecond
	// What one source may send in a window. An agent that starts sends a check every 5 ms or more (RFC 8445 section 14.2);
	// a broadcaster of 100 Mbit/s sends a thousand packets.
	guardChecks    = 40
	guardDatagrams = 2000
)

// admission is asked before work is done for a source that is nobody yet.
type admission interface {
	check(from netip.AddrPort, now time.Time) bool
	datagram(from netip.AddrPort, now time.Time) bool
}

// guard bounds what a source costs that has not proven to be a viewer's address. It is the
// socket reader's own. Sources that share a slot reset each other's count, so many forged
// ones are let through in part; what is behind has bounds of its own.
type guard struct {
	seed  maphash.Seed
	slots [guardSlots]guardSlot
}

type guardSlot struct {
	source            netip.AddrPort
	window            int64
	checks, datagrams uint32
}

func newGuard() *guard { return &guard{seed: maphash.MakeSeed()} }

func (g *guard) slot(from netip.AddrPort, now time.Time) *guardSlot {
	s := &g.slots[maphash.Comparable(g.seed, from)%guardSlots]
	if window := now.UnixNano() / int64(guardWindow); s.source != from || s.window != window {
		*s = guardSlot{source: from, window: window}
	}
	return s
}

// check tells whether one more STUN message may come from a source.
func (g *guard) check(from netip.AddrPort, now time.Time) bool {
	s := g.slot(from, now)
	s.checks++
	return s.checks <= guardChecks
}

// datagram tells the same for everything else.
func (g *guard) datagram(from netip.AddrPort, now time.Time) bool {
	s := g.slot(from, now)
	s.datagrams++
	return s.datagrams <= guardDatagrams
}
