package egress

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
)

// OtherPort is a UDP port for other things than media, with the same ways to read and to send.
type OtherPort struct {
	port    port
	batches sync.Pool
	reading sync.WaitGroup
}

// ListenOther opens a UDP port for something else than media. handle gets what comes, in one goroutine, until the port is
// closed: bytes that are only lent, where they come from, and which of our addresses they were sent to, which may be invalid.
func ListenOther(addr string, handle func(b []byte, from netip.AddrPort, local netip.Addr)) (*OtherPort, error) {
	udp, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("the address %q is not a host:port: %w", addr, err)
	}
	ports, err := openPorts(udp, SocketOptions{Shards: 1})
	if err != nil {
		return nil, err
	}
	p := &OtherPort{port: ports[0], batches: sync.Pool{New: func() any { return new(batch) }}}
	p.reading.Go(func() { p.port.read(handle) })
	return p, nil
}

// Address is what the port is bound to.
func (p *OtherPort) Address() netip.AddrPort {
	a := p.port.local()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// Sender is a way to one address, from that of ours which it has spoken to. It sends runs of datagrams, all of size bytes
// but the last, which may be shorter, and returns how many were lost. It may be used from any goroutine.
func (p *OtherPort) Sender(to netip.AddrPort, local netip.Addr) func(b []byte, size int) (lost int) {
	way := newPath(to, local, p.port)
	return func(b []byte, size int) (lost int) {
		batch := p.batches.Get().(*batch)
		defer p.batches.Put(batch)
		batch.port, batch.buf = p.port, b
		segments := min(p.port.segments(), maxRun/size)
		for start := 0; start < len(b); {
			batch.messages = batch.messages[:0]
			for start < len(b) && len(batch.messages) < batchMessages {
				length := min(len(b)-start, size*max(segments, 1))
				batch.messages = append(batch.messages, message{to: way, start: start, length: length, segment: size, segments: (length + size - 1) / size})
				start += length
			}
			lost += p.port.sendBatch(batch)
		}
		batch.buf = nil
		return lost
	}
}

// Close closes the port and waits for its reader.
func (p *OtherPort) Close() error {
	err := p.port.close()
	p.reading.Wait()
	if free := p.port.free(); err == nil {
		err = free
	}
	return err
}
