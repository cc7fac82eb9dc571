package ingest

import (
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxStrangers  = 256 // connections that have not been checked yet
	maxPerSource  = 16  // of these, from one address
	maxPerSession = 16  // a browser makes one for each pair of its networks and our addresses
)

// streams takes TCP connections in. One that has not shown at once that it belongs to a session, by a
// connectivity check with that session's password, is closed; of those that belong to a session each
// session may have a few. So their number is bounded, and strangers cannot keep broadcasters out.
type streams struct {
	listener net.Listener
	mux      *mux
	log      *slog.Logger
	// How long a new connection has to show that it belongs to a session.
	firstCheck time.Duration
	running    sync.WaitGroup // all goroutines of the listener and of the connections

	mu        sync.Mutex
	closed    bool
	open      map[*stream]struct{}
	strangers []*stream // the oldest first
	sources   map[netip.Prefix]int
}

func newStreams(listener net.Listener, m *mux, firstCheck time.Duration, log *slog.Logger) *streams {
	s := &streams{listener: listener, mux: m, firstCheck: firstCheck, log: log, open: make(map[*stream]struct{}), sources: make(map[netip.Prefix]int)}
	s.running.Go(s.accept)
	return s
}

// end closes the listener and all connections and waits until nothing is left of them.
func (s *streams) end() {
	s.mu.Lock()
	s.closed = true
	s.listener.Close() // the only error is that it was closed before
	for c := range s.open {
		c.close()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *streams) accept() {
	pause := time.Millisecond
	for {
		conn, err := s.listener.Accept()
		switch {
		case err == nil:
			pause = time.Millisecond
			s.admit(conn)
		case errors.Is(err, net.ErrClosed):
			return
		default: // such as too many open files
			s.log.Warn("taking TCP connections of broadcasters", "error", err)
			time.Sleep(pause)
			pause = min(2*pause, time.Second)
		}
	}
}

// admit begins to read a connection, if its source has not too many others that nobody knows.
func (s *streams) admit(conn net.Conn) {
	remote, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		conn.Close()
		return
	}
	c := newStream(s, conn, remote)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.sources[c.source] >= maxPerSource {
		conn.Close()
		return
	}
	if len(s.strangers) == maxStrangers {
		oldest := s.strangers[0] // it has had more time than the others
		s.known(oldest)
		oldest.close()
	}
	s.open[c] = struct{}{}
	s.strangers = append(s.strangers, c)
	s.sources[c.source]++
	s.running.Go(c.read)
	s.running.Go(c.write)
}

// known takes a connection from the strangers. The caller holds s.mu.
func (s *streams) known(c *stream) {
	for i, o := range s.strangers {
		if o == c {
			s.strangers = append(s.strangers[:i], s.strangers[i+1:]...)
			if s.sources[c.source]--; s.sources[c.source] == 0 {
				delete(s.sources, c.source)
			}
			return
		}
	}
}

// checked is told of a connection that belongs to a session.
func (s *streams) checked(c *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known(c)
}

// forget is told of a connection that has ended.
func (s *streams) forget(c *stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known(c)
	delete(s.open, c)
}

// sourceOf is who a connection is counted to: an IPv4 address, or the network of an IPv6 address,
// of which a host has many.
func sourceOf(addr netip.Addr) netip.Prefix {
	bits := 32
	if addr.Is6() {
		bits = 64
	}
	p, err := addr.WithZone("").Prefix(bits)
	if err != nil {
		panic(err) // only for a number of bits that no address has
	}
	return p
}
