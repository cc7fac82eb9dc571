package egress

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"siaran/mediaport"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/selfsign"

	"siaran/internal/pionlog"
	"siaran/internal/sdp"
	"siaran/internal/testutil"
)

// dtlsClient is a viewer's side of a handshake: what it writes comes to a link as from the socket's reader.
type dtlsClient struct {
	*net.UDPConn
	link *link
	last func() // called after each datagram that is sealed, of which the end of the handshake is the first
}

func (c *dtlsClient) WriteTo(b []byte, _ net.Addr) (int, error) {
	c.link.handleDTLS(b, c.LocalAddr().(*net.UDPAddr).AddrPort(), netip.Addr{})
	for rest := b; len(rest) > 13; rest = rest[min(len(rest), 13+int(binary.BigEndian.Uint16(rest[11:]))):] {
		if binary.BigEndian.Uint16(rest[3:]) > 0 {
			c.last()
			break
		}
	}
	return len(b), nil
}

// shakeHands lets a viewer do its handshake with a new link; hungUp hears of the viewer's end of the connection.
func shakeHands(t *testing.T, last func(*link)) (l *link, viewer *dtls.Conn, hungUp chan struct{}) {
	t.Helper()
	socket, err := mediaport.Open("127.0.0.1:0", mediaport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	hungUp = make(chan struct{}, 1)
	l = testLink(socket, "r", "p")
	proveAt(l, udp.LocalAddr().(*net.UDPAddr).AddrPort())
	l.pipe = newDTLSConn(l)
	ownerOf(l).onEnded = func(error) { hungUp <- struct{}{} }
	var spawned sync.WaitGroup
	t.Cleanup(spawned.Wait)
	ownerOf(l).spawn = spawned.Go
	connected := make(chan *dtls.Conn)
	go func() {
		conn, err := dtls.ClientWithOptions(&dtlsClient{udp, l, func() { last(l) }}, &net.UDPAddr{},
			dtls.WithCertificates(certificate), dtls.WithInsecureSkipVerify(true),
			dtls.WithSRTPProtectionProfiles(profiles...), dtls.WithLoggerFactory(pionlog.Silent))
		if err == nil {
			err = conn.Handshake()
		}
		if err != nil {
			t.Error(err)
		}
		connected <- conn
	}()
	ctx, cancel := context.WithTimeout(context.Background(), testutil.Patience)
	defer cancel()
	err = l.handshake(ctx, certificate, false, []sdp.Fingerprint{sdp.FingerprintOf(certificate.Certificate[0])})
	conn := <-connected
	if err != nil || conn == nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return l, conn, hungUp
}

// TestHandshakeEndsWhateverFollows: a viewer cannot keep a handshake's place with what it sends after it.
func TestHandshakeEndsWhateverFollows(t *testing.T) {
	var begun time.Time
	shakeHands(t, func(l *link) {
		begun = time.Now()
		for i := range dtlsQueue {
			record := make([]byte, 25) // with an empty handshake message of the far future
			copy(record, []byte{22, 0xfe, 0xfd})
			binary.BigEndian.PutUint16(record[9:], uint16(1000+i))
			record[12] = 12
			record[13], record[18] = 1, 77
			l.handleDTLS(record, l.selected.Load().path.Address(), netip.Addr{})
		}
	})
	if took := time.Since(begun); took > (dtlsQueue-1)*flightInterval {
		t.Errorf("the handshake took %v", took)
	}
}

// TestGoodbyeIsSaid: the viewer's connection ends with a record of the server's that the viewer can read.
func TestGoodbyeIsSaid(t *testing.T) {
	for range 20 {
		l, conn, _ := shakeHands(t, func(*link) {})
		l.parked.goodbye(l)
		if err := conn.SetReadDeadline(time.Now().Add(testutil.Patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Read(make([]byte, mediaport.MaxDatagram)); !errors.Is(err, io.EOF) {
			t.Fatalf("the viewer read %v, want the end", err)
		}
	}
}

// TestGoodbyeRightAfterTheHandshake: a viewer may leave at once.
func TestGoodbyeRightAfterTheHandshake(t *testing.T) {
	for i := range 50 {
		_, viewer, hungUp := shakeHands(t, func(*link) {})
		viewer.Close()
		select {
		case <-hungUp:
		case <-time.After(testutil.Patience):
			t.Fatalf("goodbye %d was not heard", i)
		}
	}
}
