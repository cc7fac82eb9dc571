package front

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// begun is a TLS connection whose first byte has been read.
type begun struct {
	*tls.Conn        // net/http finds ConnectionState here
	first     []byte // until it is read again
}

// Read is called by one goroutine at a time, as that of any stream that is read in order.
func (b *begun) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// counted is a connection that counts towards the limits until it is closed.
type counted struct {
	net.Conn
	l      *Listener
	source netip.Prefix
	opened sync.Once
	closed sync.Once
}

// admit counts a connection, or tells that there are too many.
func (l *Listener) admit(conn net.Conn) (*counted, bool) {
	c := &counted{Conn: conn, l: l, source: sourceOf(conn.RemoteAddr())}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= l.cfg.Limits.Open || l.opening >= l.cfg.Limits.Opening || l.sources[c.source] >= l.cfg.Limits.FromOne {
		l.refused++
		return nil, false
	}
	l.open++
	l.opening++
	l.sources[c.source]++
	return c, true
}

// greeted ends the time in which a connection counts as opening.
func (c *counted) greeted() {
	c.opened.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.opening--
		if c.l.sources[c.source]--; c.l.sources[c.source] <= 0 {
			delete(c.l.sources, c.source)
		}
	})
}

// Close is net.Conn's.
func (c *counted) Close() error {
	c.closed.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.open--
	})
	return c.Conn.Close()
}

// NetConn is the connection itself, as that of *tls.Conn is, for those who set options of the system.
func (c *counted) NetConn() net.Conn { return c.Conn }

// sourceOf is what stands for one site: an address of IPv4, a /64 of IPv6.
func sourceOf(addr net.Addr) netip.Prefix {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Prefix{}
	}
	ip := tcp.AddrPort().Addr().Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, _ := ip.Prefix(bits) // the bits fit
	return p
}

// Dial gives HTTP a connection from inside the process. It needs no TLS, no certificate and no port.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.ready <- inside{far}:
		return near, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), near.Close(), far.Close())
	case <-l.ctx.Done():
		return nil, errors.Join(net.ErrClosed, near.Close(), far.Close())
	}
}

// inside is a connection of this process with itself.
type inside struct{ net.Conn }

func (inside) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (inside) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
