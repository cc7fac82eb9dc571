package ingest

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/pion/stun"
)

const (
	maxDatagram = 2048 // bytes; what is longer is dropped
	maxBound    = 64   // remote addresses that one session may send to
	// An address that has spoken to one session may go over to another after this.
	addressHold = 5 * time.Second
)

// mux shares one UDP socket among the sessions of all broadcasters. A STUN request goes by the
// user name in it, which is drawn by us; everything else by the remote address. An address
// belongs to the session that it has sent such a request for, never to one that merely names it
// among its candidates: so no broadcaster can divert the media of another. pion's own mux differs there.
type mux struct {
	conn    net.PacketConn
	relayed netip.Prefix // see Config
	log     *slog.Logger
	done    chan struct{} // closed when the reader has ended

	mu     sync.Mutex
	closed bool
	names  map[string]*muxSession
	owners map[netip.AddrPort]*owner
	sentTo map[netip.AddrPort][]*muxSession // who waits for STUN responses from there
}

type owner struct {
	session *muxSession
	seen    time.Time
}

func newMux(conn net.PacketConn, relayed netip.Prefix, log *slog.Logger) *mux {
	m := &mux{
		conn: conn, relayed: relayed, log: log, done: make(chan struct{}),
		names: make(map[string]*muxSession), owners: make(map[netip.AddrPort]*owner), sentTo: make(map[netip.AddrPort][]*muxSession),
	}
	go m.read()
	return m
}

// close ends the reader and all sessions' connections; the socket stays open for its owner to close.
func (m *mux) close() {
	m.mu.Lock()
	m.closed = true
	for _, s := range m.names {
		s.shut()
	}
	m.mu.Unlock()
	if m.conn.SetReadDeadline(time.Now()) == nil {
		<-m.done
		m.conn.SetReadDeadline(time.Time{})
	}
}

func (m *mux) read() {
	defer close(m.done)
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := m.conn.ReadFrom(buf)
		now := time.Now()
		m.mu.Lock()
		closed := m.closed
		m.mu.Unlock()
		if closed {
			return
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF) {
				return
			}
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				m.log.Debug("reading media of broadcasters", "error", err)
				time.Sleep(time.Millisecond) // such as ECONNREFUSED of a datagram sent before; never spin
			}
			continue
		}
		if udp, ok := from.(*net.UDPAddr); ok && n > 0 && n < len(buf) {
			m.dispatch(buf[:n], udp, now)
		}
	}
}

// dispatch gives a datagram to the sessions it may be for.
func (m *mux) dispatch(data []byte, from *net.UDPAddr, now time.Time) {
	addr := plain(from)
	isSTUN := stun.IsMessage(data)
	name := ""
	if isSTUN {
		name, _ = requestUfrag(data)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case name != "":
		if s := m.names[name]; s != nil {
			m.claim(addr, s, now)
			s.push(data, from, addr)
		}
	case isSTUN:
		for _, s := range m.sentTo[addr] {
			s.push(data, from, addr)
		}
	default:
		if o := m.owners[addr]; o != nil {
			o.seen = now
			o.session.push(data, from, addr)
		}
	}
}

// claim makes addr the session's, unless another one is using it. The caller holds m.mu.
func (m *mux) claim(addr netip.AddrPort, s *muxSession, now time.Time) {
	o := m.owners[addr]
	switch {
	case o == nil:
		if s.bind(addr) {
			m.owners[addr] = &owner{s, now}
		}
	case o.session == s:
		o.seen = now
	case now.Sub(o.seen) > addressHold:
		if s.bind(addr) {
			*o = owner{s, now}
		}
	}
}

// requestUfrag is the local user name fragment of a Binding request (RFC 8445 section 7.2.2), and
// whether there is one.
func requestUfrag(data []byte) (string, bool) {
	msg := stun.Message{Raw: data}
	if msg.Decode() != nil || msg.Type != stun.BindingRequest {
		return "", false
	}
	name, err := msg.Get(stun.AttrUsername)
	if err != nil {
		return "", false
	}
	ufrag, _, found := strings.Cut(string(name), ":")
	return ufrag, found
}

// session opens a session's share of the socket under its user name fragment.
func (m *mux) session(l local) (*muxSession, error) {
	s := &muxSession{mux: m, ufrag: l.ufrag, password: l.password, bound: make(map[netip.AddrPort]struct{})}
	for _, a := range l.addresses {
		family := &s.v6
		if a.Addr().Unmap().Is4() {
			family = &s.v4
		}
		if *family == nil {
			*family = newMuxConn(s, net.UDPAddrFromAddrPort(netip.AddrPortFrom(a.Addr().Unmap(), a.Port())))
		}
	}
	if s.v6 == nil && m.relayed.IsValid() {
		s.v6 = newMuxConn(s, relayName)
		s.v6.only = m.relayed
	}
	if len(l.tcp) > 0 {
		s.streams = make(map[netip.AddrPort]*stream)
		s.tcp4, s.tcp6 = newStreamShare(s, tcpName4), newStreamShare(s, tcpName6)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, net.ErrClosed
	}
	m.names[s.ufrag] = s
	return s, nil
}

// sends notes that the session waits for STUN responses from addr, and tells whether it may send there.
func (m *mux) sends(s *muxSession, addr netip.AddrPort) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.names[s.ufrag] != s {
		return false
	}
	for _, o := range m.sentTo[addr] {
		if o == s {
			return true
		}
	}
	if !s.bind(addr) {
		return false
	}
	m.sentTo[addr] = append(m.sentTo[addr], s)
	return true
}

// leave forgets a session, and tells the relay if the session's media came through it.
func (m *mux) leave(s *muxSession) {
	for _, addr := range m.forget(s) {
		if r, ok := m.conn.(releaser); ok {
			r.Release(addr)
		}
	}
}

// releaser is a socket that wants to hear of relayed addresses that are no session's any more.
type releaser interface{ Release(netip.AddrPort) }

// forget takes a session out. It returns the relayed addresses that were the session's.
func (m *mux) forget(s *muxSession) (relayed []netip.AddrPort) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.shut()
	if m.names[s.ufrag] != s {
		return nil
	}
	delete(m.names, s.ufrag)
	for addr := range s.bound {
		if o := m.owners[addr]; o != nil && o.session == s {
			delete(m.owners, addr)
			if m.relayed.Contains(addr.Addr()) {
				relayed = append(relayed, addr)
			}
		}
		var others []*muxSession
		for _, o := range m.sentTo[addr] {
			if o != s {
				others = append(others, o)
			}
		}
		if others == nil {
			delete(m.sentTo, addr)
		} else {
			m.sentTo[addr] = others
		}
	}
	return relayed
}

func plain(a *net.UDPAddr) netip.AddrPort {
	ap := a.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
