package mediaport

import (
	"hash/maphash"
	"net/netip"
	"time"

	"siaran/internal/monotonic"
	"siaran/internal/netaddr"
)

const (
	limiterSlots  = 1 << 12
	limiterWindow = 100 * time.Millisecond
	// What one address and port may send in a window. An agent that starts sends a check every 5 ms or more (RFC 8445
	// section 14.2); a broadcaster of 100 Mbit/s sends a thousand packets.
	maxChecks    = 40
	maxDatagrams = 2000
	// How many times as much one host may send, whatever its ports, and one network: a school that starts to watch, and a
	// studio.
	hostFactor    = 20
	networkFactor = 40
)

// sourceLimits is asked before work is done for a source that no session has a proven claim on.
type sourceLimits interface {
	// check counts a STUN message and reports whether it may be sent. own says that it names the session that holds the
	// address, which only those can do who have seen its signalling or its checks. Such messages are counted by
	// themselves, so that what others send from there, or forge, does not keep them away.
	check(from netip.AddrPort, own bool, now time.Time) bool
	// datagram counts anything else, which includes a broadcaster's media, and reports whether it may be sent.
	datagram(from netip.AddrPort, now time.Time) bool
}

// sourceLimiter bounds the work that a source can cause before it has proven to be a session's address: by its address
// and port, its host and its network. It belongs to one reader of the socket. Sources that share a slot reset each
// other's count, so of many forged sources some get through; what comes after has bounds of its own.
type sourceLimiter struct {
	seed     maphash.Seed
	ports    [limiterSlots]limiterSlot[netip.AddrPort]
	hosts    [limiterSlots]limiterSlot[netip.Prefix]
	networks [limiterSlots]limiterSlot[netip.Prefix] // apart from their hosts, which would push them out
}

type limiterSlot[K comparable] struct {
	source                 K
	window                 int64
	checks, own, datagrams uint32
}

func newSourceLimiter() *sourceLimiter { return &sourceLimiter{seed: maphash.MakeSeed()} }

// slotOf is the slot of a source. It is empty in a new window and if another source had it.
func slotOf[K comparable](
	seed maphash.Seed, slots *[limiterSlots]limiterSlot[K], source K, window int64,
) *limiterSlot[K] {
	s := &slots[maphash.Comparable(seed, source)%limiterSlots]
	if s.source != source || s.window != window {
		*s = limiterSlot[K]{source: source, window: window}
	}
	return s
}

// check implements sourceLimits.
func (l *sourceLimiter) check(from netip.AddrPort, own bool, now time.Time) bool {
	window := monotonic.Nanos(now) / int64(limiterWindow)
	port := slotOf(l.seed, &l.ports, from, window)
	if own {
		port.own++
		return port.own <= maxChecks
	}
	port.checks++
	alone := port.checks <= maxChecks
	if Relayed(from) { // all of them are in one network, and the relay has bounds of its own
		return alone
	}
	host := slotOf(l.seed, &l.hosts, netaddr.SourceOf(from.Addr()), window)
	host.checks++
	network := slotOf(l.seed, &l.networks, netaddr.NetworkOf(from.Addr()), window)
	network.checks++
	return alone && host.checks <= hostFactor*maxChecks && network.checks <= networkFactor*maxChecks
}

// datagram implements sourceLimits.
func (l *sourceLimiter) datagram(from netip.AddrPort, now time.Time) bool {
	window := monotonic.Nanos(now) / int64(limiterWindow)
	port := slotOf(l.seed, &l.ports, from, window)
	port.datagrams++
	if Relayed(from) {
		return port.datagrams <= maxDatagrams
	}
	host := slotOf(l.seed, &l.hosts, netaddr.SourceOf(from.Addr()), window)
	host.datagrams++
	return port.datagrams <= maxDatagrams && host.datagrams <= hostFactor*maxDatagrams
}
