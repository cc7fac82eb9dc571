package turn

import (
	"bufio"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readBuffer = 4 << 10         // bytes read at once
	unsent     = 64 << 10        // bytes that the kernel keeps before it sends them
	queueTime  = time.Second / 2 // what would wait longer than this is better lost
	lingerTime = time.Second     // for the last bytes of a connection that we end
)

// tcpConn is one client's TCP or TLS connection. pion's server reads it as a net.PacketConn.
type tcpConn struct {
	server     *Server
	conn       net.Conn
	interposer *interposer
	client     netip.AddrPort
	read       *bufio.Reader
	skip       int // bytes of the last message, still in read; the reader's

	since atomic.Int64 // since when it has no allocation, unix nanoseconds; 0: it has one
	heard atomic.Int64 // when something was last read, unix nanoseconds

	mu      sync.Mutex
	pending []byte // to be written
	begun   int64  // when the first of pending came; unix nanoseconds
	ending  bool   // nothing more is queued
	wake    chan struct{}
	dead    chan struct{} // closed with the connection
	once    sync.Once
}

// HandleTLS takes over a TLS connection that was accepted elsewhere and carries STUN, as when TURN shares port 443
// with HTTPS. It returns at once. The relay closes the connection.
func (s *Server) HandleTLS(conn net.Conn) { s.handle(conn) }

func (s *Server) handleRawTLS(conn net.Conn) { s.handle(tls.Server(conn, s.cfg.TLSConfig)) }

func (s *Server) handle(conn net.Conn) {
	if c := s.admit(conn); c != nil {
		if _, err := c.interposer.serve(c); err != nil {
			s.running.Done()
			s.running.Done()
			s.dismiss(c)
			return
		}
		go c.write()
	}
}

// admit counts a new connection, or closes it if there are too many.
func (s *Server) admit(conn net.Conn) *tcpConn {
	setNotSentLowat(conn)
	client := addrPort(conn.RemoteAddr())
	c := &tcpConn{
		server: s, conn: conn, client: client,
		read: bufio.NewReaderSize(conn, readBuffer), wake: make(chan struct{}, 1), dead: make(chan struct{}),
	}
	c.interposer = newInterposer(s, c)
	c.interposer.reliable = true
	now := s.now()
	c.since.Store(now)
	c.heard.Store(now)
	l := &s.cfg.Limits
	s.mu.Lock()
	if s.closed || len(s.conns) >= l.Connections ||
		s.connsPerSource.Full(client.Addr(), l.ConnectionsPerSource, l.ConnectionsPerNetwork) {
		s.mu.Unlock()
		s.stats.refusedConnection.Add(1)
		_ = conn.Close()
		return nil
	}
	s.conns[c] = struct{}{}
	s.connsPerSource.Add(client.Addr())
	s.running.Add(2) // until its reader and its writer have ended
	s.mu.Unlock()
	return c
}

// dismiss closes a connection.
func (s *Server) dismiss(c *tcpConn) {
	c.once.Do(func() {
		close(c.dead)
		// The Close of a TLS connection could wait for a client that does not read.
		if t, ok := c.conn.(interface{ NetConn() net.Conn }); ok {
			_ = t.NetConn().Close()
		}
		_ = c.conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.conns, c)
		s.connsPerSource.Remove(c.client.Addr())
	})
}

// sweepConns closes connections that are idle.
func (s *Server) sweepConns(now int64) {
	s.mu.RLock()
	var idle []*tcpConn
	for c := range s.conns {
		since := c.since.Load()
		unused := since != 0 && now-since > int64(s.cfg.Limits.FirstAllocation)
		if unused || now-c.heard.Load() > int64(s.cfg.Limits.Idle) {
			idle = append(idle, c)
		}
	}
	s.mu.RUnlock()
	for _, c := range idle {
		s.stats.closedIdle.Add(1)
		s.dismiss(c)
	}
}

// ReadFrom implements net.PacketConn: it gives pion the next request.
func (c *tcpConn) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		message, err := c.next()
		if err != nil {
			c.server.dismiss(c)
			c.server.running.Done()
			return 0, nil, err
		}
		if c.interposer.take(message, c.client, netip.Addr{}) {
			return copy(b, c.interposer.request.message.Raw), net.TCPAddrFromAddrPort(c.client), nil
		}
	}
}

// next returns the next message. It is valid until the next call.
func (c *tcpConn) next() ([]byte, error) {
	if _, err := c.read.Discard(c.skip); err != nil {
		return nil, err
	}
	c.skip = 0
	header, err := c.read.Peek(channelHeader)
	if err != nil {
		return nil, err
	}
	size := frameSize(header)
	if size == 0 {
		c.server.stats.dropJunk.Add(1)
		return nil, errors.New("not TURN")
	}
	message, err := c.read.Peek(size)
	if err != nil {
		return nil, err
	}
	c.skip = size
	c.heard.Store(c.server.now())
	return message, nil
}

// WriteTo implements net.PacketConn: it receives pion's answers.
func (c *tcpConn) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.interposer.answered(b)
	if c.interposer.request.fresh != nil {
		c.since.Store(0)
	}
	return len(b), nil
}

func (c *tcpConn) replyPath(netip.AddrPort, netip.Addr) replyPath { return c }

// ended implements replyPath.
func (c *tcpConn) ended(byPion bool) {
	if !byPion {
		c.finish()
		return
	}
	c.since.Store(c.server.now())
}

// Close implements net.PacketConn.
func (c *tcpConn) Close() error {
	c.server.dismiss(c)
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *tcpConn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (c *tcpConn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (c *tcpConn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (c *tcpConn) SetWriteDeadline(time.Time) error { return nil }
