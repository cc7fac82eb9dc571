package ingest

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"siaran/internal/accept"
)

const (
	maxUnverified = 256 // connections that have not sent a right check yet
	maxPerSource  = 16  // of these, from one address
	maxPerSession = 16  // connections; a browser makes one for each pair of its networks and our addresses
)

// tcpListener accepts TCP connections. A connection that does not soon show that it belongs to a session, by a
// connectivity check with that session's password, is closed. Each session may have a few connections. So their number
// is bounded, and strangers cannot keep broadcasters out.
type tcpListener struct {
	listener net.Listener
	mux      *mux
	// How long a new connection has to show that it belongs to a session.
	firstCheck time.Duration
	closing    chan struct{}
	running    sync.WaitGroup // all goroutines of the listener and of the connections

	mu         sync.Mutex
	closed     bool
	open       map[*tcpConn]struct{}
	unverified []*tcpConn // the oldest first
	sources    map[netip.Prefix]int
}

func newTCPListener(listener net.Listener, m *mux, firstCheck time.Duration, log *slog.Logger) *tcpListener {
	s := &tcpListener{
		listener: listener, mux: m, firstCheck: firstCheck, closing: make(chan struct{}),
		open: make(map[*tcpConn]struct{}), sources: make(map[netip.Prefix]int),
	}
	s.running.Go(func() { accept.Loop(s.closing, listener, "TCP connections of broadcasters", log, s.admit) })
	return s
}

// end closes the listener and all connections, and waits until nothing of them is left.
func (s *tcpListener) end() {
	close(s.closing)
	s.mu.Lock()
	s.closed = true
	s.listener.Close() // the only possible error is that it is closed already
	for c := range s.open {
		c.close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

// admit starts to read a connection, unless its source has too many unverified ones.
func (s *tcpListener) admit(conn net.Conn) {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		conn.Close()
		return
	}
	c := newTCPConn(s, conn, remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sources[c.source] >= maxPerSource {
		conn.Close()
		return
	}
	if len(s.unverified) == maxUnverified {
		oldest := s.unverified[0] // it has had the most time
		s.verified(oldest)
		oldest.close()
	}
	s.open[c] = struct{}{}
	s.unverified = append(s.unverified, c)
	s.sources[c.source]++
	s.running.Go(c.read)
	s.running.Go(c.write)
}

// verified takes a connection out of the unverified ones. The caller holds s.mu.
func (s *tcpListener) verified(c *tcpConn) {
	for i, o := range s.unverified {
		if o == c {
			s.unverified = append(s.unverified[:i], s.unverified[i+1:]...)
			if s.sources[c.source]--; s.sources[c.source] == 0 {
				delete(s.sources, c.source)
			}
			return
		}
	}
}

// checked notes that a connection belongs to a session.
func (s *tcpListener) checked(c *tcpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verified(c)
}

// forget notes that a connection has ended.
func (s *tcpListener) forget(c *tcpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.verified(c)
	delete(s.open, c)
}
