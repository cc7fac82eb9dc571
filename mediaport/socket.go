package mediaport

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"

	"siaran/internal/fault"
)

const (
	// MaxDatagram is the most that is read or written, in bytes. Longer datagrams are truncated, and then fail their
	// integrity check.
	MaxDatagram  = 2048
	socketBuffer = 4 << 20 // bytes asked of the kernel, each way
)

// Socket is the UDP port for the media of broadcasters and viewers. Its methods may be called from any goroutine.
type Socket struct {
	ports     []rawPort // at least one, all bound to the same address
	addresses addresses
	relays    relays
	discovery atomic.Pointer[discovery] // while one runs

	mu         sync.RWMutex
	byUfrag    map[string]*Endpoint
	byAddress  map[netip.AddrPort]place
	byQuestion map[TransactionID]*Endpoint // which endpoint expects a response with this id

	batches []*Batch       // guarded by mu; for their counters
	reads   []readCounters // one for each of ports
	limited atomic.Uint64  // datagrams dropped by the source limiters
	faults  *fault.Log
	reading sync.WaitGroup
}

// Options change how a socket works; the zero value is right for most servers.
type Options struct {
	Public []netip.Addr // announced instead of the interfaces' addresses
	// Interfaces reports whether the addresses of an interface, by its name, are announced; nil: all are.
	Interfaces func(name string) bool

	DSCP   int // marks outgoing packets (RFC 8837); 0 to 63
	Shards int // descriptors that share the port (SO_REUSEPORT) where the system can; 0: one for every four CPUs

	// For tests and comparisons: what is done where the system can do no more.
	NoGSO bool // send every datagram by itself
	Plain bool // use nothing specific to the operating system

	Logger *slog.Logger // nil: nothing is logged
}

// Open opens the port. addr is host:port; an empty host means all IPv4 and IPv6 addresses of the machine.
func Open(addr string, options Options) (*Socket, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("the media address %q is not a host:port: %w", addr, err)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Shards <= 0 {
		options.Shards = max(1, runtime.NumCPU()/4)
	}
	var ports []rawPort
	if options.Plain {
		ports, err = openStd(udp)
	} else {
		ports, err = openRaw(udp, options)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("UDP port %d is in use: stop the other program or choose another media port: %w",
			udp.Port, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open the media port %q: %w", addr, err)
	}
	s := &Socket{
		ports:      ports,
		addresses:  addresses{local: unmapped(ports[0].local()), public: options.Public, use: options.Interfaces},
		byUfrag:    make(map[string]*Endpoint),
		byAddress:  make(map[netip.AddrPort]place),
		byQuestion: make(map[TransactionID]*Endpoint),
		faults:     fault.New(options.Logger),
		reads:      make([]readCounters, len(ports)),
	}
	for i, p := range ports {
		s.reading.Go(func() { s.read(p, &s.reads[i]) })
	}
	return s, nil
}

// read hands out what comes to one descriptor until it is closed.
func (s *Socket) read(p rawPort, count *readCounters) {
	limiter := newSourceLimiter()
	p.read(func(b []byte, from netip.AddrPort, local netip.Addr) {
		bump(&count.datagrams, 1)
		bump(&count.bytes, uint64(len(b)))
		if Relayed(from) { // forged: such addresses exist inside this process only
			s.limited.Add(1)
			return
		}
		s.dispatch(limiter, b, from, local)
	})
}

// Port is the port number, as bound.
func (s *Socket) Port() uint16 { return s.addresses.local.Port() }

// Local is the address that the port is bound to, which may be unspecified.
func (s *Socket) Local() netip.AddrPort { return s.addresses.local }

// Addresses lists what to announce as host candidates, best first.
func (s *Socket) Addresses() []netip.AddrPort { return s.addresses.list() }

// Faults counts the panics over what came to the port. Servers on the port add their own.
func (s *Socket) Faults() *fault.Log { return s.faults }

// Send sends one datagram. It never waits: a full send buffer drops the datagram, as the network would, and is an
// error.
func (s *Socket) Send(b []byte, to *Path) error {
	if to.relayed {
		s.relays.send(b, len(b), to.address)
		return nil
	}
	return s.ports[0].send(b, to)
}

// NewBatch makes a batch for one goroutine. Batches of different shards use different descriptors, if the socket has
// several. The socket keeps them for its counters. lost is called with the number of datagrams that the system did not
// take.
func (s *Socket) NewBatch(shard int, lost func(datagrams int)) *Batch {
	b := newBatch(s.ports[shard%len(s.ports)], &s.relays, lost)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, b)
	return b
}

// Close closes the port and waits for its readers. Servers on the port are closed before.
func (s *Socket) Close() error {
	var errs []error
	for _, p := range s.ports {
		errs = append(errs, p.close())
	}
	s.reading.Wait()
	for _, p := range s.ports {
		errs = append(errs, p.free())
	}
	return errors.Join(errs...)
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
