package tlsmux

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"siaran/internal/accept"
	"siaran/internal/netaddr"
)

// Protocols that TLS clients may ask for (ALPN).
const (
	protoHTTP2 = "h2"
	protoHTTP1 = "http/1.1"
	protoTURN  = "stun.turn" // RFC 7443
)

// Limits bound what clients can hold. Zero values stand for the defaults, which the comments give.
type Limits struct {
	Open       int           // connections at the same time; 20000
	Opening    int           // those in their handshake or before their first byte; 2048
	Share      netaddr.Share // of Open and of Opening for one source
	Handshake  time.Duration // 10 s
	FirstBytes time.Duration // after the handshake; 10 s
}

// Config is what [Listen] needs.
type Config struct {
	TLS  *tls.Config    // with GetCertificate; nil: plain connections, all of them for HTTP
	TURN func(net.Conn) // takes over a connection that carries TURN, without blocking; nil: those are closed
	// Other lists further ALPN protocols, whose connections are closed after the handshake.
	Other   []string
	Limits  Limits
	Proxies []netip.Prefix // addresses of reverse proxies: limits by source do not apply to them
	Logger  *slog.Logger   // nil: none
}

// Listener accepts the connections for HTTP. One that speaks HTTP/2 is a *tls.Conn, as net/http requires.
type Listener struct {
	raw  net.Listener
	cfg  Config
	ctx  context.Context // ends with Close
	stop context.CancelFunc

	ready   chan net.Conn
	closed  chan struct{} // closed when no more connections are accepted
	running sync.WaitGroup

	mu    sync.Mutex
	conns connTable

	warnedRefused time.Time // owned by acceptLoop
}

// Listen takes over l, until Close.
func Listen(l net.Listener, cfg Config) *Listener {
	cfg.Limits = cfg.Limits.filled()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Listener{raw: l, cfg: cfg, ready: make(chan net.Conn), closed: make(chan struct{}), conns: newConnTable()}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if cfg.TLS != nil {
		f.cfg.TLS = cfg.TLS.Clone()
		f.cfg.TLS.NextProtos = append([]string{protoHTTP2, protoHTTP1}, cfg.Other...)
		if cfg.TURN != nil {
			f.cfg.TLS.NextProtos = append(f.cfg.TLS.NextProtos, protoTURN)
		}
	}
	f.running.Go(f.acceptLoop)
	return f
}

func (l Limits) filled() Limits {
	for _, d := range []struct {
		n *int
		d int
	}{{&l.Open, 20000}, {&l.Opening, 2048}} {
		if *d.n <= 0 {
			*d.n = d.d
		}
	}
	for _, d := range []*time.Duration{&l.Handshake, &l.FirstBytes} {
		if *d <= 0 {
			*d = 10 * time.Second
		}
	}
	return l
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return l.raw.Addr() }

// Close accepts no more connections, and closes those in their handshake. Those that were handed over stay open.
func (l *Listener) Close() error {
	err := l.raw.Close()
	l.stop()
	l.running.Wait()
	return err
}

// Stats counts connections.
type Stats struct {
	Open, Opening       int // now
	MaxOpen, MaxOpening int
	Refused             uint64 // over a limit
	Failed              uint64 // TLS handshakes that failed
}

// Stats returns the counters.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return Stats{
		Open: l.conns.open, Opening: l.conns.opening, MaxOpen: l.cfg.Limits.Open, MaxOpening: l.cfg.Limits.Opening,
		Refused: l.conns.refused, Failed: l.conns.failed,
	}
}

// acceptLoop accepts connections until the listener is closed.
func (l *Listener) acceptLoop() {
	accept.Loop(l.ctx.Done(), l.raw, "connections", l.cfg.Logger, func(conn net.Conn) {
		c, ok := l.admit(conn)
		if !ok {
			l.warnRefused(conn)
			conn.Close()
			return
		}
		l.running.Go(func() { l.classify(c) })
	})
	close(l.closed)
}

// warnRefused logs that a connection was over a limit, once a minute at most.
func (l *Listener) warnRefused(conn net.Conn) {
	if now := time.Now(); now.Sub(l.warnedRefused) > time.Minute {
		l.warnedRefused = now
		l.cfg.Logger.Warn("too many connections: some were refused",
			"refused", l.Stats().Refused, "last", netaddr.SourceOf(l.client(conn.RemoteAddr())))
	}
}

// classify finds out what a connection is for, and hands it over.
func (l *Listener) classify(c *limitedConn) {
	defer c.setClassified()
	if l.cfg.TLS == nil {
		l.deliver(c)
		return
	}
	stop := context.AfterFunc(l.ctx, func() { _ = c.Close() })
	conn, turn := l.handshake(c)
	if !stop() || conn == nil {
		_ = c.Close()
		return
	}
	if !turn {
		l.deliver(conn)
	} else if l.cfg.TURN != nil {
		l.cfg.TURN(conn)
	} else {
		conn.Close()
	}
}

// deliver waits until HTTP accepts a connection.
func (l *Listener) deliver(conn net.Conn) {
	select {
	case l.ready <- conn:
	case <-l.ctx.Done():
		conn.Close()
	}
}

// handshake returns nil for a connection that is neither for HTTP nor for TURN.
func (l *Listener) handshake(c *limitedConn) (conn net.Conn, turn bool) {
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Limits.Handshake)
	defer cancel()
	secure := tls.Server(c, l.cfg.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		l.countFailure()
		refusePlain(err)
		return nil, false
	}
	switch protocol := secure.ConnectionState().NegotiatedProtocol; protocol {
	case protoHTTP2:
		return secure, false
	case protoTURN:
		return secure, true
	case "", protoHTTP1: // TURN clients ask for no protocol, or for any
	default:
		secure.Close()
		return nil, false
	}
	if err := secure.SetReadDeadline(time.Now().Add(l.cfg.Limits.FirstBytes)); err != nil {
		return nil, false
	}
	first := make([]byte, 1)
	if _, err := io.ReadFull(secure, first); err != nil {
		return nil, false
	}
	if err := secure.SetReadDeadline(time.Time{}); err != nil {
		return nil, false
	}
	return &peekedConn{Conn: secure, first: first}, first[0] <= 1
}

func (l *Listener) countFailure() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns.failed++
}

const httpsOnly = "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" +
	"This port speaks HTTPS: the address begins with https://\n"

// refusePlain answers a client that sends plain HTTP to the HTTPS port.
func refusePlain(err error) {
	var wrong tls.RecordHeaderError
	if !errors.As(err, &wrong) || wrong.Conn == nil {
		return
	}
	switch string(wrong.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		wrong.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = io.WriteString(wrong.Conn, httpsOnly) // the connection is closed next
	}
}
