package egress

import (
	"errors"
	"net"
	"testing"
	"time"

	"siaran/internal/pionlog"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"
	"siaran/internal/testutil"
)

// tappedConn keeps what was written last.
type tappedConn struct {
	net.PacketConn
	last []byte
}

func (c *tappedConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.last = append([]byte(nil), b...)
	return c.PacketConn.WriteTo(b, to)
}

// goodbyes is a finished connection's state and the close_notify of its other side.
func goodbyes(t testing.TB, suite dtls.CipherSuiteID, weAreClient bool) (*dtls.State, []byte) {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	near, far := packetPipe(t), packetPipe(t)
	tap := &tappedConn{PacketConn: far}
	clientSide, serverSide := net.PacketConn(near), net.PacketConn(tap)
	if !weAreClient {
		clientSide, serverSide = tap, near
	}
	client, err := dtls.ClientWithOptions(clientSide, serverSide.LocalAddr(), dtls.WithCertificates(certificate),
		dtls.WithInsecureSkipVerify(true), dtls.WithCipherSuites(suite), dtls.WithLoggerFactory(pionlog.Silent))
	if err != nil {
		t.Fatal(err)
	}
	server, err := dtls.ServerWithOptions(serverSide, clientSide.LocalAddr(), dtls.WithCertificates(certificate),
		dtls.WithCipherSuites(suite), dtls.WithLoggerFactory(pionlog.Silent))
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan error, 1)
	go func() { accepted <- server.Handshake() }()
	if err := errors.Join(client.Handshake(), <-accepted); err != nil {
		t.Fatal(err)
	}
	ours, theirs := client, server
	if !weAreClient {
		ours, theirs = server, client
	}
	state, ok := ours.ConnectionState()
	if !ok {
		t.Fatal("no state")
	}
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	ours.Close()
	return &state, tap.last
}

func packetPipe(t testing.TB) net.PacketConn {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// TestGoodbyeIsHeard: a genuine one is told from a forged one, in both roles and with both suites.
func TestGoodbyeIsHeard(t *testing.T) {
	for _, suite := range suites {
		for _, weAreClient := range []bool{false, true} {
			state, goodbye := goodbyes(t, suite, weAreClient)
			parked := &idleDTLS{state: state}
			forged := append([]byte(nil), goodbye...)
			forged[len(forged)-1] ^= 1
			if parked.closes(forged) {
				t.Error("a forged goodbye was believed")
			}
			if !parked.closes(goodbye) {
				t.Errorf("%v, client %v: a goodbye was not heard", suite, weAreClient)
			}
			for n := range goodbye {
				if parked.closes(goodbye[:n]) {
					t.Errorf("%d bytes of a goodbye were believed", n)
				}
			}
			if parked.closes([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 1, 0}) {
				t.Error("an alert in plain was believed")
			}
		}
	}
}

// However much strangers send from a viewer's address, its goodbye is heard, and the last flight is sent again only so
// often, and not at all once the viewer has shown that it is done with the handshake.
func TestForgedRecordsHideNoGoodbye(t *testing.T) {
	state, goodbye := goodbyes(t, suites[0], false)
	forged := append([]byte(nil), goodbye...)
	forged[len(forged)-1] ^= 1
	l, out := reportingLink(t)
	viewer := packetPipe(t)
	here := proveAt(l, viewer.LocalAddr().(*net.UDPAddr).AddrPort())
	heard := 0
	ownerOf(l).onEnded = func(error) { heard++ }
	flight := []byte{22, 1, 2}
	parked := &idleDTLS{
		state: state, flight: [][]byte{flight}, flights: budget{interval: flightsInterval, burst: flightsBurst},
	}
	now := time.Now()
	for range 1000 {
		parked.handle(l, []byte{22}, now)
		parked.handle(l, forged, now)
	}
	l.from(here, sealedReport(t, out, 1), now)
	parked.handle(l, []byte{22}, now.Add(time.Hour))
	parked.handle(l, goodbye, now)
	if heard != 1 {
		t.Error("a goodbye was not heard")
	}
	l.transmit([]byte{99}, here.path) // the last that comes
	buf := make([]byte, 100)
	for flights := 0; ; flights++ {
		if err := viewer.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
			t.Fatal(err)
		}
		n, _, err := viewer.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			if flights != flightsBurst {
				t.Errorf("the last flight was sent %d times, want %d", flights, flightsBurst)
			}
			return
		}
	}
}

func BenchmarkForgedAlert(b *testing.B) {
	state, goodbye := goodbyes(b, suites[0], false)
	goodbye[len(goodbye)-1] ^= 1
	parked := &idleDTLS{state: state}
	b.ReportAllocs()
	for b.Loop() {
		if parked.closes(goodbye) {
			b.Fatal("believed")
		}
	}
}
