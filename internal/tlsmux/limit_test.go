package tlsmux

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"siaran/internal/testutil"
)

// dialFrom connects from an address of 127.0.0.0/8.
func (s *site) dialFrom(ip string) (net.Conn, error) {
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(ip)}}
	var conn net.Conn
	conn, err := d.Dial("tcp", s.addr)
	if err != nil {
		return nil, err
	}
	s.t.Cleanup(func() { conn.Close() })
	if s.listener.cfg.TLS != nil {
		secure := tls.Client(conn, &tls.Config{
			RootCAs: s.ca.Pool(), ServerName: "localhost", NextProtos: []string{"http/1.1"},
		})
		if err := secure.Handshake(); err != nil {
			return nil, err
		}
		return secure, nil
	}
	return conn, nil
}

// asked connects from ip, and reports whether it gets an answer.
func (s *site) asked(ip, path string) (net.Conn, bool) {
	conn, err := s.dialFrom(ip)
	if err != nil {
		return nil, false
	}
	conn.SetDeadline(time.Now().Add(testutil.Patience))
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		return nil, false
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil, false
	}
	if path == "/" { // the other answer has no end
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
	}
	return conn, res.StatusCode == http.StatusOK
}

func (s *site) held() int {
	s.listener.mu.Lock()
	defer s.listener.mu.Unlock()
	return s.listener.conns.open
}

// TestOneCannotHoldAll: whatever one address or network does with its connections, others are served at once.
func TestOneCannotHoldAll(t *testing.T) {
	const places = 24
	plain := func(c *Config) { c.TLS = nil }
	for _, kind := range []struct {
		name   string
		change func(*Config)
	}{{"plain", plain}, {"TLS", func(*Config) {}}} {
		for _, how := range []struct {
			name string
			take func(s *site, ip string)
		}{
			{"idle", func(s *site, ip string) { s.asked(ip, "/") }},
			{"answers without end", func(s *site, ip string) { s.asked(ip, "/forever") }},
			{"silent", func(s *site, ip string) { s.dialFrom(ip) }},
			{"half a request", func(s *site, ip string) {
				if conn, err := s.dialFrom(ip); err == nil {
					io.WriteString(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n1")
				}
			}},
		} {
			t.Run(kind.name+" "+how.name, func(t *testing.T) {
				s := start(t, kind.change, func(c *Config) { c.Limits = Limits{Open: places} })
				for range 2 * places {
					how.take(s, "127.0.0.1")
				}
				if n := s.held(); n > places/4 {
					t.Errorf("one address holds %d of %d places", n, places)
				}
				if _, ok := s.asked("127.0.0.9", "/"); !ok {
					t.Error("another address is refused")
				}
				for i := range 2 * places {
					how.take(s, []string{"127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.5"}[i%4])
				}
				if n := s.held(); n > places/2 {
					t.Errorf("one network holds %d of %d places", n, places)
				}
				if _, ok := s.asked("127.0.7.9", "/"); !ok {
					t.Error("another network is refused")
				}
			})
		}
	}
}

// TestIdleMakeRoom: when all places are taken, the connection that has been idle longest is closed. One in use stays.
func TestIdleMakeRoom(t *testing.T) {
	for name, change := range map[string]func(*Config){"plain": func(c *Config) { c.TLS = nil }, "TLS": func(*Config) {}} {
		t.Run(name, func(t *testing.T) {
			s := start(t, change, func(c *Config) { c.Limits = Limits{Open: 4, Share: 100} })
			busy, ok := s.asked("127.0.0.1", "/forever")
			var idle []net.Conn
			for i := range 3 {
				conn, fine := s.asked("127.0.0.1", "/")
				if idle, ok = append(idle, conn), ok && fine; !ok {
					t.Fatal("no answer while there is room")
				}
				waitFor(t, s, func() bool { // it is answered a moment before it is idle
					list := s.listener.conns.idle[allSources]
					return list != nil && list.Len() == i+1
				})
			}
			if _, ok := s.asked("127.0.7.9", "/"); !ok {
				t.Fatal("no idle connection was closed to make room")
			}
			wantClosed(t, idle[0])
			for i, conn := range []net.Conn{busy, idle[1], idle[2]} {
				if conn.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); i > 0 {
					io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
					conn.SetReadDeadline(time.Now().Add(testutil.Patience))
				}
				if _, err := conn.Read(make([]byte, 1)); err == io.EOF {
					t.Errorf("connection %d was closed", i)
				}
			}
		})
	}
}

// TestHTTP2IsIdle: an HTTP/2 connection is idle between requests, and can be closed then.
func TestHTTP2IsIdle(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits = Limits{Open: 1, Share: 100} })
	for range 3 { // each client with a connection of its own
		res, err := s.client(true).Get("https://" + s.addr)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		waitFor(t, s, func() bool { return s.listener.conns.idle[allSources] != nil })
	}
}

// TestProxies: a proxy may take every place, because many clients come through it. The limits for all still hold.
func TestProxies(t *testing.T) {
	s := start(t, func(c *Config) {
		c.TLS = nil
		c.Limits = Limits{Open: 6}
		c.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	})
	for range 6 {
		if _, ok := s.asked("127.0.0.1", "/forever"); !ok {
			t.Fatal("a proxy is limited like a client")
		}
	}
	if _, ok := s.asked("127.0.0.1", "/"); ok {
		t.Error("a seventh connection was accepted")
	}
	if len(s.listener.conns.openBy) != 0 {
		t.Errorf("a proxy counts by source: %v", s.listener.conns.openBy)
	}
}
