package mediaport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// Port is a UDP port for something other than media, with the same fast ways to read and to send. Its methods may be
// called from any goroutine.
type Port struct {
	raw     rawPort
	batches sync.Pool
	reading sync.WaitGroup
}

// Listen opens a UDP port for something other than media. Until the port is closed, handle gets what comes, from one
// goroutine: bytes that are only lent, where they come from, and which of our addresses they were sent to, which may be
// invalid.
func Listen(addr string, handle func(b []byte, from netip.AddrPort, local netip.Addr)) (*Port, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("the address %q is not a host:port: %w", addr, err)
	}
	raw, err := openRaw(udp, Options{Shards: 1})
	if err != nil {
		return nil, err
	}
	p := &Port{raw: raw[0], batches: sync.Pool{New: func() any { return new(Batch) }}}
	p.reading.Go(func() { p.raw.read(handle) })
	return p, nil
}

// Address is the address that the port is bound to.
func (p *Port) Address() netip.AddrPort { return unmapped(p.raw.local()) }

// Sender makes a function that sends to one address, from the address of ours that it has spoken to. The function sends
// runs of datagrams, all of size bytes but the last, which may be shorter, and returns how many were lost. It may be
// called from any goroutine.
func (p *Port) Sender(to netip.AddrPort, local netip.Addr) func(b []byte, size int) (lost int) {
	path := newPath(to, local, p.raw)
	return func(b []byte, size int) (lost int) {
		batch := p.batches.Get().(*Batch)
		defer p.batches.Put(batch)
		batch.port, batch.buf = p.raw, b
		segments := 1
		if path.takesRuns() {
			segments = min(p.raw.segments(), maxRun/size)
		}
		for start := 0; start < len(b); {
			batch.messages = batch.messages[:0]
			for start < len(b) && len(batch.messages) < batchMessages {
				length := min(len(b)-start, size*max(segments, 1))
				batch.messages = append(batch.messages, message{
					to: path, start: start, length: length, segment: size, segments: (length + size - 1) / size,
				})
				start += length
			}
			lost += p.raw.sendBatch(batch)
		}
		batch.buf = nil
		return lost
	}
}

// Close closes the port and waits for its reader.
func (p *Port) Close() error {
	err := p.raw.close()
	p.reading.Wait()
	return errors.Join(err, p.raw.free())
}
