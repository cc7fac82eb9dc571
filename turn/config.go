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

// Config is what [Open] needs. Fields must be set, except the addresses and those whose comment names a default.
type Config struct {
	UDP, TCP  string      // host:port to listen on; empty: do not listen
	TLS       string      // the same, for TLS over TCP
	TLSConfig *tls.Config // must be set if TLS is

	// ListenUDP opens the UDP port. nil: a port that works on every system, with one system call per datagram.
	ListenUDP func(addr string, handle Handle) (Port, error)

	// Media returns where this server's media can be reached, the best address first. Clients are relayed to these alone.
	Media func() []netip.AddrPort
	// Deliver hands a client's datagram to the media. b is only lent. It is called from many goroutines and must not
	// wait; it may call Send.
	Deliver func(b []byte, from netip.AddrPort)
	// Virtual is the prefix of the clients' addresses in Deliver and Send: 64 bits, used by no network.
	Virtual netip.Prefix

	// Secret returns the secret that signs credentials which expire on a day (since 1970, in UTC): 32 bytes or more, and
	// different each day.
	Secret func(day int64) []byte
	// Live reports whether the credentials of an id have not been revoked. nil: always true.
	Live func(id string) bool

	Limits Limits
	Logger *slog.Logger // for warnings that limits refused clients; nil: none

	now func() time.Time // nil: the real time
}

// Limits bound what clients can ask for. Zero values stand for the defaults, which the comments give.
type Limits struct {
	Allocations   int // at the same time; 10000
	PerCredential int // allocations; 32, as a browser makes one for each of its interfaces and each of our URLs
	PerSource     int // allocations of one IPv4 address or IPv6 /64; 2000, as a school may share one address
	PerNetwork    int // allocations of one IPv4 /24 or IPv6 /48; twice PerSource

	Connections           int // TCP and TLS; 10000
	ConnectionsPerSource  int // 2000
	ConnectionsPerNetwork int // twice ConnectionsPerSource

	Rate  int // bytes a second of one allocation, in each direction; 2500000 (20 Mbit/s)
	Queue int // bytes that wait to be sent to one TCP or TLS client; 512 KiB

	AllQueues int // bytes that wait to be sent to all such clients; 256 MiB

	// Requests a second of one source, for those that come from addresses without an allocation, and how many at
	// once; 100, 1000.
	Requests, RequestBurst int

	FirstAllocation time.Duration // until a connection must have made an allocation; 15 s
	Idle            time.Duration // until a silent connection is closed; 5 min, in which clients refresh permissions
	Unused          time.Duration // until an allocation that no session sends to is closed; 60 s
	Stalled         time.Duration // until a connection whose client does not read is cut off; 10 s
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
