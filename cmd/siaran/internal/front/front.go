package front

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
)

// What TLS clients may ask for (ALPN).
const (
	protoHTTP2 = "h2"
	protoHTTP1 = "http/1.1"
	protoTURN  = "stun.turn" // RFC 7443
)

// Limits bound what clients can take. Zero values take the defaults.
type Limits struct {
	Open       int           // connections at the same time; 20000
	Opening    int           // of them in their handshake or before their first byte; 2048
	FromOne    int           // of these from one IPv4 address or IPv6 /64; 512
	Handshake  time.Duration // 10 s
	FirstBytes time.Duration // after the handshake; 10 s
}

// Config is how connections are taken.
type Config struct {
	TLS  *tls.Config    // with GetCertificate; nil: plain connections, all of them HTTP's
	TURN func(net.Conn) // takes over a connection on which TURN is spoken, without blocking; nil: none is taken
	// Other ALPN protocols, whose connections are closed after the handshake.
	Other  []string
	Limits Limits
	Logger *slog.Logger // nil: none
}

// Listener gives HTTP its connections. One that speaks HTTP/2 is a *tls.Conn, as net/http wants it.
type Listener struct {
	raw  net.Listener
	cfg  Config
	ctx  context.Context // ends with Close
	stop context.CancelFunc

	ready   chan net.Conn
	failed  chan struct{} // closed when no more connections are taken in
	err     error         // why; read after failed
	running sync.WaitGroup

	mu      sync.Mutex
	open    int
	opening int
	sources map[netip.Prefix]int // of opening
	refused uint64

	complained time.Time // owned by takeIn
}

// Listen takes over l. Close ends it.
func Listen(l net.Listener, cfg Config) *Listener {
	cfg.Limits = cfg.Limits.filled()
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	f := &Listener{raw: l, cfg: cfg, ready: make(chan net.Conn), failed: make(chan struct{}), sources: make(map[netip.Prefix]int)}
	f.ctx, f.stop = context.WithCancel(context.Background())
	if cfg.TLS != nil {
		f.cfg.TLS = cfg.TLS.Clone()
		f.cfg.TLS.NextProtos = append([]string{protoHTTP2, protoHTTP1}, cfg.Other...)
		if cfg.TURN != nil {
			f.cfg.TLS.NextProtos = append(f.cfg.TLS.NextProtos, protoTURN)
		}
	}
	f.running.Go(f.takeIn)
	return f
}

func (l Limits) filled() Limits {
	for _, d := range []struct {
		n *int
		d int
	}{{&l.Open, 20000}, {&l.Opening, 2048}, {&l.FromOne, 512}} {
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

// Accept is net.Listener's.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.ready:
		return conn, nil
	case <-l.failed:
		return nil, l.err
	}
}

// Addr is net.Listener's.
func (l *Listener) Addr() net.Addr { return l.raw.Addr() }

// Close takes no more connections, and closes those that are in their handshake. Those that were given away go on.
func (l *Listener) Close() error {
	err := l.raw.Close()
	l.stop()
	l.running.Wait()
	return err
}

// Refused counts connections that were over a limit.
func (l *Listener) Refused() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// takeIn accepts until the listener is closed or broken.
func (l *Listener) takeIn() {
	defer close(l.failed)
	pause := 5 * time.Millisecond
	for {
		conn, err := l.raw.Accept()
		if err != nil {
			if l.ctx.Err() != nil || !passing(err) {
				l.err = err
				return
			}
			select { // such as too many open files
			case <-time.After(pause):
				pause = min(2*pause, time.Second)
			case <-l.ctx.Done():
			}
			continue
		}
		pause = 5 * time.Millisecond
		c, ok := l.admit(conn)
		if !ok {
			l.complain(conn)
			conn.Close()
			continue
		}
		l.running.Go(func() { l.greet(c) })
	}
}

// complain logs that a connection is over a limit, once a minute at most.
func (l *Listener) complain(conn net.Conn) {
	if now := time.Now(); now.Sub(l.complained) > time.Minute {
		l.complained = now
		l.cfg.Logger.Warn("too many connections: some are refused", "refused", l.Refused(), "last", sourceOf(conn.RemoteAddr()))
	}
}

// passing tells of errors that the next call may not have, as net/http does.
func passing(err error) bool {
	var e interface{ Temporary() bool }
	return errors.As(err, &e) && e.Temporary()
}

// greet finds out what a connection is for, and gives it there.
func (l *Listener) greet(c *counted) {
	defer c.greeted()
	if l.cfg.TLS == nil {
		l.give(c)
		return
	}
	stop := context.AfterFunc(l.ctx, func() { c.Close() })
	conn, turn := l.handshake(c)
	if !stop() || conn == nil {
		c.Close()
		return
	}
	if !turn {
		l.give(conn)
	} else if l.cfg.TURN != nil {
		l.cfg.TURN(conn)
	} else {
		conn.Close()
	}
}

// give waits for HTTP to take a connection.
func (l *Listener) give(conn net.Conn) {
	select {
	case l.ready <- conn:
	case <-l.ctx.Done():
		conn.Close()
	}
}

// handshake returns nil for what is neither HTTP nor TURN.
func (l *Listener) handshake(c *counted) (conn net.Conn, turn bool) {
	ctx, cancel := context.WithTimeout(l.ctx, l.cfg.Limits.Handshake)
	defer cancel()
	secure := tls.Server(c, l.cfg.TLS)
	if err := secure.HandshakeContext(ctx); err != nil {
		refusePlain(err)
		return nil, false
	}
	switch protocol := secure.ConnectionState().NegotiatedProtocol; protocol {
	case protoHTTP2:
		return secure, false
	case protoTURN:
		return secure, true
	case "", protoHTTP1: // TURN's clients ask for nothing, or for anything
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
	return &begun{Conn: secure, first: first}, first[0] <= 1
}

// refusePlain tells those who speak HTTP to the port of HTTPS.
func refusePlain(err error) {
	var wrong tls.RecordHeaderError
	if !errors.As(err, &wrong) || wrong.Conn == nil {
		return
	}
	switch string(wrong.RecordHeader[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "DELET", "PATCH":
		wrong.Conn.SetWriteDeadline(time.Now().Add(time.Second))
		io.WriteString(wrong.Conn, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nThis port speaks HTTPS: the address begins with https://\n")
	}
}
