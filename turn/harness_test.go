package turn

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"siaran/internal/pionlog"
	"siaran/internal/testutil"

	"github.com/pion/stun"
	"github.com/pion/turn/v2"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

var (
	media   = netip.MustParseAddrPort("203.0.113.1:8189") // for documentation (RFC 5737)
	media6  = netip.MustParseAddrPort("[2001:db8::1]:8189")
	virtual = netip.MustParsePrefix("100::/64")
)

// stage is a relay in front of a made-up media port, which sends back what it gets.
type stage struct {
	*Server
	t testing.TB

	offset atomic.Int64 // of the relay's clock, which stands still unless pass moves it

	mu   sync.Mutex
	live map[string]bool // what Live says; nil: always
	got  []delivered
}

// pass lets time go by for the relay.
func (s *stage) pass(d time.Duration) { s.offset.Add(int64(d)) }

type delivered struct {
	data string
	from netip.AddrPort
}

func open(t testing.TB, options ...func(*Config)) *stage {
	t.Helper()
	s := &stage{t: t}
	begun := time.Now()
	var server *Server
	opened := make(chan struct{})
	cfg := Config{
		UDP: "127.0.0.1:0", TCP: "127.0.0.1:0", TLS: "127.0.0.1:0", TLSConfig: serverTLS(t),
		Media: func() []netip.AddrPort { return []netip.AddrPort{media, media6} },
		Deliver: func(b []byte, from netip.AddrPort) {
			s.mu.Lock()
			s.got = append(s.got, delivered{string(b), from})
			s.mu.Unlock()
			<-opened
			server.Send(b, len(b), from)
		},
		Virtual: virtual,
		Secret:  testSecret,
		now:     func() time.Time { return begun.Add(time.Duration(s.offset.Load())) },
		Live: func(id string) bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.live == nil || s.live[id]
		},
	}
	for _, o := range options {
		o(&cfg)
	}
	var err error
	if server, err = Open(cfg); err != nil {
		t.Fatal(err)
	}
	close(opened)
	s.Server = server
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
		if st := server.Stats(); st.Allocations != 0 || st.Connections != 0 {
			t.Errorf("left after the end: %+v", st)
		}
		server.mu.RLock()
		defer server.mu.RUnlock()
		if len(server.perCredential)+len(server.perSource)+len(server.connsPerSource) != 0 || server.queued.Load() != 0 {
			t.Errorf("counts are left: %v %v %v %d",
				server.perCredential, server.perSource, server.connsPerSource, server.queued.Load())
		}
	})
	return s
}

func testSecret(day int64) []byte {
	b := make([]byte, 32)
	big.NewInt(day).FillBytes(b[8:])
	return b
}

func serverTLS(t testing.TB) *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{*testutil.Certificate(t)}}
}

// dial opens the way of a client to the relay: "udp", "tcp" or "tls".
func (s *stage) dial(transport string) net.PacketConn {
	s.t.Helper()
	_, tcp, secure := s.Addresses()
	var conn net.PacketConn
	switch transport {
	case "udp":
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		conn = c
	case "tcp":
		c, err := net.Dial("tcp", tcp.String())
		if err != nil {
			s.t.Fatal(err)
		}
		conn = framed{c, bufio.NewReader(c)}
	case "tls":
		c, err := tls.Dial("tcp", secure.String(), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			s.t.Fatal(err)
		}
		conn = framed{c, bufio.NewReader(c)}
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// framed is a stream whose messages are read one at a time.
type framed struct {
	net.Conn
	read *bufio.Reader
}

func (f framed) ReadFrom(b []byte) (int, net.Addr, error) {
	header, err := f.read.Peek(channelHeader)
	if err != nil {
		return 0, nil, err
	}
	n, err := io.ReadFull(f.read, b[:frameSize(header)])
	return n, f.RemoteAddr(), err
}

func (f framed) WriteTo(b []byte, _ net.Addr) (int, error) { return f.Write(b) }

// client is a TURN client of pion's.
func (s *stage) client(transport, user, password string) *turn.Client {
	s.t.Helper()
	udp, tcp, secure := s.Addresses()
	server := map[string]netip.AddrPort{"udp": udp, "tcp": tcp, "tls": secure}[transport]
	c, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server.String(), TURNServerAddr: server.String(), Conn: s.dial(transport),
		Username: user, Password: password, LoggerFactory: pionlog.Silent, RTO: 500 * time.Millisecond,
	})
	if err != nil {
		s.t.Fatal(err)
	}
	if err := c.Listen(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

// allocated is a client with an allocation.
func (s *stage) allocated(transport, id string) net.PacketConn {
	s.t.Helper()
	user, password := s.Credential(id, time.Hour)
	conn, err := s.client(transport, user, password).Allocate()
	if err != nil {
		s.t.Fatalf("%s: %v", transport, err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// echoes reports whether something that is sent to a peer comes back from it.
func echoes(t testing.TB, conn net.PacketConn, to netip.AddrPort, text string) bool {
	t.Helper()
	buf := make([]byte, maxDatagram)
	for range 20 {
		if _, err := conn.WriteTo([]byte(text), net.UDPAddrFromAddrPort(to)); err != nil {
			t.Logf("write: %v", err)
			return false
		}
		_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
		n, from, err := conn.ReadFrom(buf)
		if err == nil && string(buf[:n]) == text {
			if addrPort(from) != to {
				t.Errorf("from %s, sent to %s", from, to)
			}
			return true
		}
	}
	return false
}

// raw is a client that says exactly what the test wants.
type raw struct {
	t    testing.TB
	conn net.PacketConn
	to   net.Addr

	user, password string
	nonce          stun.Nonce
	realm          stun.Realm
}

func (s *stage) raw(transport, user, password string) *raw {
	s.t.Helper()
	udp, _, _ := s.Addresses()
	return &raw{t: s.t, conn: s.dial(transport), to: net.UDPAddrFromAddrPort(udp), user: user, password: password}
}

// ask sends a request and returns its answer; nil when none comes. It learns nonce and realm.
func (r *raw) ask(method stun.Method, setters ...stun.Setter) *stun.Message {
	r.t.Helper()
	for range 3 {
		m := r.once(method, setters...)
		if m == nil {
			return nil
		}
		var code stun.ErrorCodeAttribute
		if code.GetFrom(m) == nil &&
			(code.Code == stun.CodeUnauthorized && r.nonce == nil || code.Code == stun.CodeStaleNonce) {
			if r.nonce.GetFrom(m) != nil || r.realm.GetFrom(m) != nil {
				r.t.Fatal("no nonce and realm")
			}
			continue
		}
		return m
	}
	return nil
}

func (r *raw) once(method stun.Method, setters ...stun.Setter) *stun.Message {
	r.t.Helper()
	all := append([]stun.Setter{stun.TransactionID, stun.NewType(method, stun.ClassRequest)}, setters...)
	if r.nonce != nil {
		all = append(all, stun.NewUsername(r.user), r.nonce, r.realm,
			stun.NewLongTermIntegrity(r.user, r.realm.String(), r.password))
	}
	return r.exchange(stun.MustBuild(append(all, stun.Fingerprint)...))
}

// exchange sends a request and returns its answer; nil when none comes.
func (r *raw) exchange(m *stun.Message) *stun.Message {
	r.t.Helper()
	buf := make([]byte, maxDatagram)
	r.write(m.Raw) // once, so that it counts once: loopback loses nothing
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		n, _, err := r.conn.ReadFrom(buf)
		if err != nil {
			return nil
		}
		answer := &stun.Message{Raw: append([]byte(nil), buf[:n]...)}
		if answer.Decode() == nil && answer.TransactionID == m.TransactionID {
			return answer
		}
	}
}

func (r *raw) write(b []byte) {
	r.t.Helper()
	if _, err := r.conn.WriteTo(b, r.to); err != nil {
		r.t.Logf("write: %v", err)
	}
}

// next is the next thing that the relay sends: a Data indication's or a channel's data and where it comes from.
func (r *raw) next() (from, data string) {
	r.t.Helper()
	buf := make([]byte, maxDatagram)
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Minute))
	n, _, err := r.conn.ReadFrom(buf)
	if err != nil {
		return "", err.Error()
	}
	if number, data, ok := channelData(buf[:n]); ok {
		return fmt.Sprintf("%#x", number), string(data)
	}
	m := &stun.Message{Raw: buf[:n]}
	if err := m.Decode(); err != nil {
		return "", err.Error()
	}
	b, err := m.Get(stun.AttrData)
	peer, ok := peerOf(m)
	if err != nil || !ok || m.Type != stun.NewType(stun.MethodData, stun.ClassIndication) {
		return "", m.String()
	}
	return peer.String(), string(b)
}

// code is the error in an answer, 0 for a success and -1 for none.
func code(m *stun.Message) stun.ErrorCode {
	var c stun.ErrorCodeAttribute
	switch {
	case m == nil:
		return -1
	case c.GetFrom(m) == nil:
		return c.Code
	case m.Type.Class == stun.ClassErrorResponse:
		return -2
	}
	return 0
}

func attribute(t stun.AttrType, value ...byte) stun.RawAttribute {
	return stun.RawAttribute{Type: t, Value: value}
}

var transportUDP = attribute(stun.AttrRequestedTransport, protocolUDP, 0, 0, 0)

func channelNumber(n uint16) stun.RawAttribute {
	return attribute(stun.AttrChannelNumber, byte(n>>8), byte(n), 0, 0)
}

// allocate makes an allocation and fails the test when it gets none.
func (r *raw) allocate(setters ...stun.Setter) *stun.Message {
	r.t.Helper()
	m := r.ask(stun.MethodAllocate, append([]stun.Setter{transportUDP}, setters...)...)
	if code(m) != 0 {
		r.t.Fatalf("allocate: %d", code(m))
	}
	return m
}

func (r *raw) permit(peer netip.AddrPort) stun.ErrorCode {
	r.t.Helper()
	return code(r.ask(stun.MethodCreatePermission, peerAddress{peer}))
}

func (r *raw) bind(channel uint16, peer netip.AddrPort) stun.ErrorCode {
	r.t.Helper()
	return code(r.ask(stun.MethodChannelBind, channelNumber(channel), peerAddress{peer}))
}

// sendTo sends data without a channel.
func (r *raw) sendTo(peer netip.AddrPort, data string) {
	r.t.Helper()
	r.write(stun.MustBuild(stun.TransactionID, stun.NewType(stun.MethodSend, stun.ClassIndication),
		peerAddress{peer}, attribute(stun.AttrData, []byte(data)...)).Raw)
}
