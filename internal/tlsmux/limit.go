package tlsmux

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"

	"siaran/internal/netaddr"
)

// connTable counts the connections, and keeps the idle ones in order. It is guarded by Listener.mu.
type connTable struct {
	open, opening     int
	openBy, openingBy netaddr.Tally
	// idle has lists of *limitedConn, the longest idle first, by source, by network, and under allSources.
	idle    map[netip.Prefix]*list.List
	refused uint64
	failed  uint64 // handshakes
}

var allSources netip.Prefix // the key of all idle connections

func newConnTable() connTable {
	return connTable{openBy: make(netaddr.Tally), openingBy: make(netaddr.Tally), idle: make(map[netip.Prefix]*list.List)}
}

// idlePlace is an idle connection's place in one of the lists.
type idlePlace struct {
	key     netip.Prefix
	element *list.Element
}

// markIdle puts a connection at the end of its lists.
func (t *connTable) markIdle(c *limitedConn) {
	t.markBusy(c)
	keys := []netip.Prefix{allSources}
	if c.from.IsValid() {
		keys = append(keys, netaddr.SourceOf(c.from), netaddr.NetworkOf(c.from))
	}
	for _, key := range keys {
		if t.idle[key] == nil {
			t.idle[key] = list.New()
		}
		c.idle = append(c.idle, idlePlace{key, t.idle[key].PushBack(c)})
	}
}

// markBusy takes a connection out of its lists.
func (t *connTable) markBusy(c *limitedConn) {
	for _, s := range c.idle {
		of := t.idle[s.key]
		if of.Remove(s.element); of.Len() == 0 {
			delete(t.idle, s.key)
		}
	}
	c.idle = nil
}

// longestIdle returns the connection of a source, of a network or of allSources that has been idle longest, or nil if
// all are in use.
func (t *connTable) longestIdle(key netip.Prefix) *limitedConn {
	of := t.idle[key]
	if of == nil {
		return nil
	}
	return of.Front().Value.(*limitedConn)
}

// SetLimits changes how many connections there may be, and how many of them from one source. Those that there are stay.
func (l *Listener) SetLimits(open int, share netaddr.Share) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cfg.Limits.Open, l.cfg.Limits.Share = open, share
}

// victimFor returns the connection that must be closed to make room for one more from a; nil if there is room. It
// reports false if there is no room and nothing can be closed.
func (l *Listener) victimFor(a netip.Addr) (*limitedConn, bool) {
	t, limits := &l.conns, &l.cfg.Limits
	if t.openingBy.Over(a, limits.Share, limits.Opening) {
		return nil, false
	}
	if a.IsValid() {
		perSource, perNetwork := limits.Share.Of(limits.Open)
		for _, part := range []struct {
			key  netip.Prefix
			most int
		}{{netaddr.SourceOf(a), perSource}, {netaddr.NetworkOf(a), perNetwork}} {
			if t.openBy[part.key] >= part.most {
				victim := t.longestIdle(part.key)
				return victim, victim != nil
			}
		}
	}
	switch {
	case t.opening >= limits.Opening:
		return nil, false
	case t.open >= limits.Open:
		victim := t.longestIdle(allSources)
		return victim, victim != nil
	}
	return nil, true
}

// ConnState is for http.Server.ConnState. It records which connections are idle.
func (l *Listener) ConnState(conn net.Conn, state http.ConnState) {
	c := limitedConnOf(conn)
	if c == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if state == http.StateIdle && !c.gone {
		l.conns.markIdle(c)
	} else {
		l.conns.markBusy(c)
	}
}

// limitedConnOf returns what HTTP's connection is built on, or nil for one from inside the process.
func limitedConnOf(conn net.Conn) *limitedConn {
	switch c := conn.(type) {
	case *limitedConn:
		return c
	case *peekedConn:
		return limitedConnOf(c.Conn)
	case *tls.Conn:
		return limitedConnOf(c.NetConn())
	}
	return nil
}
