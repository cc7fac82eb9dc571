package tlsmux

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// peekedConn is a TLS connection whose first byte has been read.
type peekedConn struct {
	*tls.Conn        // embedded, because net/http looks for ConnectionState
	first     []byte // what was read ahead and is still to be returned
}

// Read must be called by one goroutine at a time.
func (b *peekedConn) Read(p []byte) (int, error) {
	if len(b.first) > 0 && len(p) > 0 {
		n := copy(p, b.first)
		b.first = b.first[n:]
		return n, nil
	}
	return b.Conn.Read(p)
}

// limitedConn is a connection that counts towards the limits until it is closed.
type limitedConn struct {
	net.Conn
	l      *Listener
	from   netip.Addr // not valid if the limits for one source do not apply
	opened sync.Once
	closed sync.Once

	idle []idlePlace // guarded by l.mu, as is gone
	gone bool
}

// admit counts a connection, or reports that there are too many. If there is no room, it closes the connection that
// has been idle longest: of the same source or network if those hold too many, otherwise of all.
func (l *Listener) admit(conn net.Conn) (*limitedConn, bool) {
	c := &limitedConn{Conn: conn, l: l, from: l.client(conn.RemoteAddr())}
	for {
		l.mu.Lock()
		victim, ok := l.victimFor(c.from)
		if !ok {
			l.conns.refused++
			l.mu.Unlock()
			return nil, false
		}
		if victim == nil {
			l.count(c)
			l.mu.Unlock()
			return c, true
		}
		l.mu.Unlock()
		_ = victim.Close() // the TCP connection: to close TLS could wait for a client that reads nothing
	}
}

// count adds a connection. The caller holds l.mu.
func (l *Listener) count(c *limitedConn) {
	l.conns.open++
	l.conns.opening++
	l.conns.openBy.Add(c.from)
	l.conns.openingBy.Add(c.from)
}

// setClassified ends the time in which a connection counts as opening.
func (c *limitedConn) setClassified() {
	c.opened.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.l.conns.opening--
		c.l.conns.openingBy.Remove(c.from)
	})
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	c.closed.Do(func() {
		c.l.mu.Lock()
		defer c.l.mu.Unlock()
		c.gone = true
		c.l.conns.markBusy(c)
		c.l.conns.open--
		c.l.conns.openBy.Remove(c.from)
	})
	return c.Conn.Close()
}

// NetConn returns the underlying connection, as (*tls.Conn).NetConn does, for setting socket options.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

// client returns the address that limits by source count. It is not valid for a proxy, which has many clients behind
// it.
func (l *Listener) client(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	a := tcp.AddrPort().Addr().Unmap()
	if slices.ContainsFunc(l.cfg.Proxies, func(p netip.Prefix) bool { return p.Contains(a.WithZone("")) }) {
		return netip.Addr{}
	}
	return a
}

// Dial opens an HTTP connection from inside the process. It needs no TLS, certificate or port.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.ready <- inProcessConn{far}:
		return near, nil
	case <-ctx.Done():
		return nil, errors.Join(ctx.Err(), near.Close(), far.Close())
	case <-l.ctx.Done():
		return nil, errors.Join(net.ErrClosed, near.Close(), far.Close())
	}
}

// inProcessConn is a connection of this process to itself.
type inProcessConn struct{ net.Conn }

func (inProcessConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
func (inProcessConn) LocalAddr() net.Addr  { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }
