package tlsmux

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"siaran/internal/testca"
	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

// site is a listener with an HTTP server behind it.
type site struct {
	t        *testing.T
	ca       *testca.CA
	listener *Listener
	addr     string
	turn     chan net.Conn // what TURN has been given
}

func start(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{t: t, ca: testca.New(t), turn: make(chan net.Conn, 10)}
	pair := s.ca.Pair(t, "localhost", "127.0.0.1")
	cfg := Config{
		TLS:   &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return pair, nil }},
		TURN:  func(c net.Conn) { s.turn <- c },
		Other: []string{"acme-tls/1"},
	}
	for _, f := range change {
		f(&cfg)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	s.listener = Listen(l, cfg)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Secure", map[bool]string{true: "yes", false: "no"}[r.TLS != nil])
		w.Header().Set("Proto", r.Proto)
		if r.URL.Path == "/forever" {
			w.WriteHeader(http.StatusOK)
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		_, _ = w.Write(body) // the client may be gone
	})}
	server.ConnState = s.listener.ConnState
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(s.listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
	return s
}

func (s *site) client(http2 bool) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.ca.Pool()}, ForceAttemptHTTP2: http2}
	s.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (s *site) dial(protocols ...string) *tls.Conn {
	s.t.Helper()
	conn, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: s.ca.Pool(), NextProtos: protocols})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

func (s *site) raw() net.Conn {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// wantClosed waits until the other side closes the connection.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn)
	var e net.Error
	if errors.As(err, &e) && e.Timeout() {
		t.Fatal("the connection stays open")
	}
}

func TestHTTP(t *testing.T) {
	s := start(t)
	for _, test := range []struct {
		http2 bool
		proto string
	}{{true, "HTTP/2.0"}, {false, "HTTP/1.1"}} {
		c := s.client(test.http2)
		for range 2 { // the second on the same connection
			body := strings.Repeat("x", 100_000)
			res, err := c.Post("https://"+s.addr, "text/plain", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			res.Body.Close()
			if err != nil || string(got) != body || res.Header.Get("Proto") != test.proto || res.Header.Get("Secure") != "yes" {
				t.Errorf("%d bytes, %v, %v", len(got), err, res.Header)
			}
		}
	}
}

// TestHTTPWithoutALPN: simple clients negotiate no protocol.
func TestHTTPWithoutALPN(t *testing.T) {
	s := start(t)
	conn := s.dial()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatal(res, err)
	}
	res.Body.Close()
}

// TestTURN: TURN is told from HTTP by ALPN, or by its first byte, which the TURN server still gets.
func TestTURN(t *testing.T) {
	s := start(t)
	for _, protocols := range [][]string{nil, {"http/1.1"}, {"stun.turn"}} {
		for _, first := range []byte{0, 1} {
			conn := s.dial(protocols...)
			message := append([]byte{first}, "the rest"...)
			if _, err := conn.Write(message); err != nil {
				t.Fatal(err)
			}
			given := <-s.turn
			got := make([]byte, len(message))
			if _, err := io.ReadFull(given, got); err != nil || !bytes.Equal(got, message) {
				t.Errorf("%v: %q, %v", protocols, got, err)
			}
			if _, err := given.Write([]byte("answer")); err != nil {
				t.Error(err)
			}
			if _, err := io.ReadFull(conn, make([]byte, 6)); err != nil {
				t.Error(err)
			}
			given.Close()
			wantClosed(t, conn)
		}
	}
}

func TestTURNWithoutARelay(t *testing.T) {
	s := start(t, func(c *Config) { c.TURN = nil })
	conn := s.dial()
	if _, err := conn.Write([]byte{0, 1, 0, 0}); err != nil {
		t.Fatal(err)
	}
	wantClosed(t, conn)
}

// TestChallenge: a connection for an ACME challenge ends after the handshake.
func TestChallenge(t *testing.T) {
	s := start(t)
	conn := s.dial("acme-tls/1")
	if p := conn.ConnectionState().NegotiatedProtocol; p != "acme-tls/1" {
		t.Error(p)
	}
	wantClosed(t, conn)
}

func TestPlainHTTPToTLS(t *testing.T) {
	s := start(t)
	conn := s.raw()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	text, _ := io.ReadAll(conn) // the reset after it may come first
	if !strings.Contains(string(text), "400") || !strings.Contains(string(text), "https://") {
		t.Errorf("%q", text)
	}
}

// TestSlowClients are cut off whichever part of the beginning they hold back, and delay nobody.
func TestSlowClients(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits = Limits{Handshake: 4 * time.Second, FirstBytes: 2 * time.Second} })
	nothing := s.raw()
	half := s.raw()
	if _, err := half.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil {
		t.Fatal(err)
	}
	junk := s.raw()
	if _, err := junk.Write(bytes.Repeat([]byte{0xff}, 100)); err != nil {
		t.Fatal(err)
	}
	silent := s.dial()
	res, err := s.client(true).Get("https://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	for _, conn := range []net.Conn{nothing, half, junk, silent} {
		wantClosed(t, conn)
	}
	waitFor(t, s, func() bool { return s.listener.conns.opening == 0 && len(s.listener.conns.openingBy) == 0 })
}

func waitFor(t *testing.T, s *site, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(testutil.Patience); ; time.Sleep(5 * time.Millisecond) {
		s.listener.mu.Lock()
		done := ok()
		s.listener.mu.Unlock()
		if done {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d open, %d opening, from %v", s.listener.conns.open, s.listener.conns.opening, s.listener.conns.openBy)
		}
	}
}

// TestTooManyOpening: connections over the limit are closed, and there is room again after others have left.
func TestTooManyOpening(t *testing.T) {
	for name, limits := range map[string]Limits{
		"from one address": {Opening: 12}, "from one network": {Opening: 6, Share: 50}, "all": {Opening: 3, Share: 100},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, func(c *Config) { c.Limits = limits })
			held := []net.Conn{s.raw(), s.raw(), s.raw()}
			waitFor(t, s, func() bool { return s.listener.conns.opening == 3 })
			wantClosed(t, s.raw())
			if n := s.listener.Stats().Refused; n != 1 {
				t.Errorf("%d refused", n)
			}
			held[0].Close()
			waitFor(t, s, func() bool { return s.listener.conns.opening == 2 })
			s.dial("h2")
		})
	}
}

// TestTooManyOpen: connections count until they are closed, even after they were handed over.
func TestTooManyOpen(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits = Limits{Open: 2, Share: 100} })
	first := s.dial("h2")
	second := s.dial()
	if _, err := second.Write([]byte{0, 1}); err != nil {
		t.Fatal(err)
	}
	relay := <-s.turn
	wantClosed(t, s.raw())
	relay.Close()
	waitFor(t, s, func() bool { return s.listener.conns.open == 1 })
	first.Close()
	waitFor(t, s, func() bool { return s.listener.conns.open == 0 })
	s.dial("h2")
}

// TestCloseAmidHandshakes: Close waits for no client, and leaves nothing behind.
func TestCloseAmidHandshakes(t *testing.T) {
	s := start(t)
	conns := []net.Conn{s.raw(), s.raw(), s.dial()}
	waitFor(t, s, func() bool { return s.listener.conns.opening == 3 })
	begin := time.Now()
	if err := s.listener.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("Close took %s", took)
	}
	for _, c := range conns {
		wantClosed(t, c)
	}
	if _, err := s.listener.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := s.listener.Dial(t.Context()); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}

// TestPlain: a listener without TLS.
func TestPlain(t *testing.T) {
	s := start(t, func(c *Config) { c.TLS = nil })
	c := s.client(false)
	res, err := c.Get("http://" + s.addr)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.Header.Get("Secure") != "no" {
		t.Error("a plain connection counts as TLS")
	}
}

// TestDial: a connection from inside the process needs no TLS and comes from loopback.
func TestDial(t *testing.T) {
	s := start(t)
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return s.listener.Dial(ctx) },
	}
	t.Cleanup(transport.CloseIdleConnections)
	res, err := (&http.Client{Transport: transport}).Get("http://live.example.org/")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Error(res.Status)
	}
}
