package mediaport

import (
	"net/netip"
	"sync/atomic"
	"time"

	"siaran/internal/monotonic"
)

// singlyTime is how long a path gets single datagrams after the system has refused a run to it. Linux remembers a
// path's MTU for as long.
const singlyTime = 10 * time.Minute

// Path is a remote address in the form that the kernel wants, and which of our addresses to send from.
type Path struct {
	address netip.AddrPort
	local   netip.Addr // invalid: the system chooses
	relayed bool       // through the relay in this process, never to the network
	raw     rawAddress

	singlyUntil atomic.Int64 // by monotonic.Nanos; 0: no run has been refused
}

// Path makes a path to an address from one of ours. An invalid local leaves the choice to the system.
func (s *Socket) Path(address netip.AddrPort, local netip.Addr) *Path {
	to := newPath(address, local, s.ports[0])
	to.local = local
	to.relayed = Relayed(address)
	return to
}

// Address is the remote address.
func (p *Path) Address() netip.AddrPort { return p.address }

// Local is the address of ours; invalid if the system chooses it.
func (p *Path) Local() netip.Addr { return p.local }

// Relayed reports whether the path leads to a client of the relay in this process.
func (p *Path) Relayed() bool { return p.relayed }

// takesRuns reports whether runs of datagrams may be sent to the address. A run that the system has refused says
// nothing about other addresses: it may be too large for this path's MTU alone.
func (p *Path) takesRuns() bool {
	until := p.singlyUntil.Load()
	return until == 0 || monotonic.Nanos(time.Now()) >= until
}

func (p *Path) refuseRuns() { p.singlyUntil.Store(monotonic.Nanos(time.Now().Add(singlyTime))) }
