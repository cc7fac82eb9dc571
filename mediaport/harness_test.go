package mediaport

import (
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/pion/stun/v3"

	"siaran/internal/testutil"
)

func TestMain(m *testing.M) { os.Exit(testutil.Main(m)) }

func openFor(t *testing.T, addr string, options Options) *Socket {
	t.Helper()
	s, err := Open(addr, options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

type datagram struct {
	text  string
	from  netip.AddrPort
	local netip.Addr
}

// session is a handler that keeps what comes.
type session struct {
	checks, answers, packets chan datagram
	panics                   chan struct{}
}

func newSession() *session {
	return &session{
		checks: make(chan datagram, 100), answers: make(chan datagram, 100), packets: make(chan datagram, 100),
		panics: make(chan struct{}, 100),
	}
}

func (s *session) HandleCheck(b []byte, from netip.AddrPort, local netip.Addr) {
	s.checks <- datagram{string(b), from, local}
}

func (s *session) HandleAnswer(b []byte, from netip.AddrPort, local netip.Addr) {
	s.answers <- datagram{string(b), from, local}
}

func (s *session) HandlePacket(b []byte, from netip.AddrPort, local netip.Addr) {
	s.packets <- datagram{string(b), from, local}
}

func (s *session) Panicked() { s.panics <- struct{}{} }

// next waits for a packet.
func (s *session) next(t *testing.T) datagram {
	t.Helper()
	return wait(t, s.packets)
}

func wait(t *testing.T, from chan datagram) datagram {
	t.Helper()
	select {
	case d := <-from:
		return d
	case <-time.After(testutil.Patience):
		t.Fatal("nothing came")
		return datagram{}
	}
}

// client is a UDP socket that is connected to a socket's port.
type client struct {
	conn *net.UDPConn
}

func newClient(t *testing.T, s *Socket) *client {
	t.Helper()
	conn, err := net.DialUDP("udp", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(s.Port())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{conn}
}

func (c *client) address() netip.AddrPort { return c.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (c *client) send(t *testing.T, b []byte) {
	t.Helper()
	if _, err := c.conn.Write(b); err != nil {
		t.Fatal(err)
	}
}

// checkFor is a check of the endpoint with a user name fragment.
func checkFor(t testing.TB, ufrag string) []byte {
	t.Helper()
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest, stun.NewUsername(ufrag+":x"), stun.Fingerprint)
	if err != nil {
		t.Fatal(err)
	}
	return m.Raw
}
