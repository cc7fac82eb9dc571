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
	streamBuffer = 4 << 10         // bytes read at once
	unsent       = 64 << 10        // bytes that the kernel keeps before it sends them
	queueTime    = time.Second / 2 // what would wait longer than this is better lost
	lingerTime   = time.Second     // for the last bytes of a connection that we end
	acceptPause  = 50 * time.Millisecond
)

// stream is one client's TCP or TLS connection, as pion's server reads it.
type stream struct {
	server *Server
	conn   net.Conn
	front  *front
	client netip.AddrPort
	read   *bufio.Reader
	skip   int // bytes of the last message, still in read; the reader's

	since atomic.Int64 // without an allocation, unix nanoseconds; 0: there is one
	heard atomic.Int64 // when something was last read

	mu      sync.Mutex
	pending []byte // to be written
	begun   int64  // when the first of it came; unix nanoseconds
	ending  bool   // nothing more is taken
	wake    chan struct{}
	dead    chan struct{} // closed with the connection
	once    sync.Once
}

// accept takes connections until the listener is closed.
func (s *Server) accept(l net.Listener, take func(net.Conn)) {
	for {
		conn, err := l.Accept()
		switch {
		case err == nil:
			take(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default: // such as too many open files
			select {
			case <-s.closing:
				return
			case <-time.After(acceptPause):
			}
		}
	}
}

// HandleTLS takes over a TLS connection that was accepted elsewhere and on which a client speaks STUN (T11). It returns at
// once; the connection is closed by the relay.
func (s *Server) HandleTLS(conn net.Conn) { s.handle(conn) }

func (s *Server) handleRawTLS(conn net.Conn) { s.handle(tls.Server(conn, s.cfg.TLSConfig)) }

func (s *Server) handle(conn net.Conn) {
	if c := s.admit(conn); c != nil {
		if _, err := c.front.serve(c); err != nil {
			s.running.Done()
			s.running.Done()
			s.dismiss(c)
			return
		}
		go c.write()
	}
}

// admit counts a connection in, or closes it.
func (s *Server) admit(conn net.Conn) *stream {
	shortQueue(conn)
	client := addrPort(conn.RemoteAddr())
	c := &stream{
		server: s, conn: conn, client: client,
		read: bufio.NewReaderSize(conn, streamBuffer), wake: make(chan struct{}, 1), dead: make(chan struct{}),
	}
	c.front = newFront(s, c)
	c.front.stream = true
	now := s.now()
	c.since.Store(now)
	c.heard.Store(now)
	l := &s.cfg.Limits
	s.mu.Lock()
	if s.closed || len(s.streams) >= l.Connections || s.streamsPerSource.full(client.Addr(), l.ConnectionsPerSource, l.ConnectionsPerNetwork) {
		s.mu.Unlock()
		s.stats.refusedConnection.Add(1)
		_ = conn.Close()
		return nil
	}
	s.streams[c] = struct{}{}
	s.streamsPerSource.add(client.Addr())
	s.running.Add(2) // until its reader and its writer have gone
	s.mu.Unlock()
	return c
}

// dismiss closes a connection.
func (s *Server) dismiss(c *stream) {
	c.once.Do(func() {
		close(c.dead)
		if t, ok := c.conn.(interface{ NetConn() net.Conn }); ok { // of TLS: its own Close could wait for a client that does not read
			_ = t.NetConn().Close()
		}
		_ = c.conn.Close()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.streams, c)
		s.streamsPerSource.remove(c.client.Addr())
	})
}

// sweepStreams closes connections that are of no use.
func (s *Server) sweepStreams(now int64) {
	s.mu.RLock()
	var idle []*stream
	for c := range s.streams {
		since := c.since.Load()
		if since != 0 && now-since > int64(s.cfg.Limits.FirstAllocation) || now-c.heard.Load() > int64(s.cfg.Limits.Idle) {
			idle = append(idle, c)
		}
	}
	s.mu.RUnlock()
	for _, c := range idle {
		s.stats.closedIdle.Add(1)
		s.dismiss(c)
	}
}

// ReadFrom gives pion the next request.
func (c *stream) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		message, err := c.next()
		if err != nil {
			c.server.dismiss(c)
			c.server.running.Done()
			return 0, nil, err
		}
		if c.front.take(message, c.client, netip.Addr{}) {
			return copy(b, message), net.TCPAddrFromAddrPort(c.client), nil
		}
	}
}

// next is the next message, good until next is called again.
func (c *stream) next() ([]byte, error) {
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

// WriteTo takes pion's answers.
func (c *stream) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.front.answered(b)
	if c.front.request.fresh != nil {
		c.since.Store(0)
	}
	return len(b), nil
}

func (c *stream) way(netip.AddrPort, netip.Addr) way { return c }

func (c *stream) answer(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ending && c.room(len(b)) {
		if len(c.pending) == 0 {
			c.begun = c.server.now()
		}
		c.pending = append(c.pending, b...)
		c.server.queued.Add(int64(len(b)))
		c.rouse()
	}
}

func (c *stream) data(b []byte, size int, channel uint16, prefix []byte) (lost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, before := c.server.now(), len(c.pending)
	if before == 0 {
		c.begun = now
	}
	late := now-c.begun > int64(queueTime)
	for len(b) > 0 {
		data := b[:min(size, len(b))]
		b = b[len(data):]
		switch {
		case c.ending || late || !c.room(len(data)+maxFraming):
			lost++
		case channel != 0:
			c.pending = appendChannelData(c.pending, channel, data, true)
		default:
			c.pending = appendIndication(c.pending, prefix, data)
		}
	}
	c.server.queued.Add(int64(len(c.pending) - before))
	c.rouse()
	return lost
}

// maxFraming is what data becomes longer by, in a Data indication for an IPv6 address.
const maxFraming = stunHeader + 24 + 4 + 3

// room tells whether n more bytes may wait, of this client and of all; a run of datagrams counts there when it is in. The caller
// holds mu.
func (c *stream) room(n int) bool {
	l := &c.server.cfg.Limits
	return len(c.pending)+n <= l.Queue && c.server.queued.Load()+int64(n) <= int64(l.AllQueues)
}

// rouse wakes the writer. The caller holds mu.
func (c *stream) rouse() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// write writes what is pending, all that there is at once, until the connection is closed.
func (c *stream) write() {
	defer c.server.running.Done()
	defer c.drop()
	var out []byte
	for {
		select {
		case <-c.wake:
		case <-c.dead:
			return
		}
		c.mu.Lock()
		out, c.pending = c.pending, out[:0]
		ending := c.ending
		c.mu.Unlock()
		patience := c.server.cfg.Limits.Stalled
		if ending {
			patience = lingerTime
		}
		_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
		if len(out) > 0 {
			_, err := c.conn.Write(out)
			c.server.queued.Add(-int64(len(out)))
			if err != nil {
				c.server.stats.closedSlow.Add(1)
				c.server.dismiss(c)
				return
			}
		}
		if ending {
			c.server.dismiss(c)
			return
		}
		if cap(out) > maxKept {
			out = nil
		}
	}
}

// drop gives up what is pending.
func (c *stream) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	c.server.queued.Add(-int64(len(c.pending)))
	c.pending = nil
}

const maxKept = 64 << 10 // bytes of a buffer that is kept for the next write

// finish closes the connection when all that is pending has been written.
func (c *stream) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ending = true
	_ = c.conn.SetWriteDeadline(time.Now().Add(lingerTime)) // a write that is under way waits no longer either
	c.rouse()
}

// ended is told that the allocation has been closed.
func (c *stream) ended(byPion bool) {
	if !byPion {
		c.finish()
		return
	}
	c.since.Store(c.server.now())
}

// Close implements net.PacketConn.
func (c *stream) Close() error {
	c.server.dismiss(c)
	return nil
}

// LocalAddr implements net.PacketConn.
func (c *stream) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// SetDeadline implements net.PacketConn.
func (c *stream) SetDeadline(time.Time) error { return nil }

// SetReadDeadline implements net.PacketConn.
func (c *stream) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline implements net.PacketConn.
func (c *stream) SetWriteDeadline(time.Time) error { return nil }
