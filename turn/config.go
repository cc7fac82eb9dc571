package turn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"
)

// Config is what Open needs. Fields without a comment on their default must be set, but for the addresses.
type Config struct {
	UDP, TCP  string      // host:port to listen on; empty: not
	TLS       string      // the same, for TLS over TCP
	TLSConfig *tls.Config // for TLS; nil: there is none

	// ListenUDP opens the UDP port; nil: a port that works on every system, with a system call for every datagram.
	ListenUDP func(addr string, handle Handle) (Port, error)

	// Media is where this server's media can be reached, the best address first: all that a client may be relayed to.
	Media func() []netip.AddrPort
	// Deliver takes a datagram that a client has sent to the media. b is only lent. It is called from many goroutines
	// and must not wait; it may call Send.
	Deliver func(b []byte, from netip.AddrPort)
	// Virtual is where clients' addresses are, as Deliver and Send know them: a prefix of 64 bits that no network has.
	Virtual netip.Prefix

	// Secret signs the credentials that expire on a day, counted since 1970 in UTC: 32 bytes or more, other ones each day.
	Secret func(day int64) []byte
	// Live tells whether a credential is still good for anything before it expires, by the id that it was made for. nil: always.
	Live func(id string) bool

	Limits Limits
	Logger *slog.Logger // is told when limits keep clients out; nil: none

	now func() time.Time // nil: the real time
}

// Limits bound what clients can ask for. Zero values take the defaults.
type Limits struct {
	Allocations   int // at the same time; 10000
	PerCredential int // allocations; 32: a browser makes one for each of its interfaces and our URLs
	PerSource     int // allocations of one address, of one /64 for IPv6; 2000: a school watches from one
	PerNetwork    int // allocations of one /24, of one /48 for IPv6; twice PerSource

	Connections           int // TCP and TLS; 10000
	ConnectionsPerSource  int // 2000
	ConnectionsPerNetwork int // twice ConnectionsPerSource

	Rate  int // bytes a second of one allocation, each way; 2500000 (20 Mbit/s)
	Queue int // bytes that wait for one TCP or TLS client; 512 KiB

	AllQueues int // bytes that wait for all such clients; 256 MiB

	// Requests a second of one source that has no allocation there, and how many at once; 100, 1000.
	Requests, RequestBurst int

	FirstAllocation time.Duration // a connection has so long to make one; 15 s
	Idle            time.Duration // a connection may be silent for so long; 5 min, in which a client refreshes its permissions
	Unused          time.Duration // an allocation that no session's media has used for so long is closed; 60 s
	Stalled         time.Duration // a connection whose client takes nothing for so long is cut off; 10 s
}

func (l Limits) filled() Limits {
	fill := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	wait := func(v *time.Duration, d time.Duration) {
		if *v <= 0 {
			*v = d
		}
	}
	fill(&l.Allocations, 10_000)
	fill(&l.PerCredential, 32)
	fill(&l.PerSource, 2000)
	fill(&l.PerNetwork, 2*l.PerSource)
	fill(&l.Connections, 10_000)
	fill(&l.ConnectionsPerSource, 2000)
	fill(&l.ConnectionsPerNetwork, 2*l.ConnectionsPerSource)
	fill(&l.Rate, 2_500_000)
	fill(&l.Queue, 512<<10)
	fill(&l.AllQueues, 256<<20)
	fill(&l.Requests, 100)
	fill(&l.RequestBurst, 1000)
	wait(&l.FirstAllocation, 15*time.Second)
	wait(&l.Idle, 5*time.Minute)
	wait(&l.Unused, time.Minute)
	wait(&l.Stalled, 10*time.Second)
	return l
}

func (c Config) checked() (Config, error) {
	if c.Media == nil || c.Deliver == nil || c.Secret == nil {
		return c, errors.New("turn: media, deliver and secret must be set")
	}
	if c.Virtual.Bits() != 64 || !c.Virtual.Addr().Is6() {
		return c, errors.New("turn: virtual must be an IPv6 prefix of 64 bits")
	}
	if c.TLSConfig == nil && c.TLS != "" {
		return c, errors.New("turn: TLS needs a certificate")
	}
	for _, a := range []string{c.UDP, c.TCP, c.TLS} {
		if _, _, err := net.SplitHostPort(a); a != "" && err != nil {
			return c, fmt.Errorf("turn: the address %q is not a host:port: %w", a, err)
		}
	}
	if c.ListenUDP == nil {
		c.ListenUDP = listenPlain
	}
	if c.Live == nil {
		c.Live = func(string) bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.now == nil {
		c.now = time.Now
	}
	c.Limits = c.Limits.filled()
	return c, nil
}
