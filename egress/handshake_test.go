package egress

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"

	"siaran"
)

// dtlsClient is a viewer's side of a handshake: what it writes comes to a link as from the socket's reader.
type dtlsClient struct {
	*net.UDPConn
	link *link
	last func() // called after each datagram that is sealed, of which the end of the handshake is the first
}

func (c *dtlsClient) Read(b []byte) (int, error) {
	n, _, err := c.ReadFromUDPAddrPort(b)
	return n, err
}

func (c *dtlsClient) Write(b []byte) (int, error) {
	c.link.handleDTLS(b)
	for rest := b; len(rest) > 13; rest = rest[min(len(rest), 13+int(binary.BigEndian.Uint16(rest[11:]))):] {
		if binary.BigEndian.Uint16(rest[3:]) > 0 {
			c.last()
			break
		}
	}
	return len(b), nil
}

// shakeHands lets a viewer do its handshake with a new link, which leave ends; hungUp hears of it.
func shakeHands(t *testing.T, last func(*link)) (l *link, leave func(), hungUp chan struct{}) {
	t.Helper()
	socket, err := Listen("127.0.0.1:0", SocketOptions{})
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
	l = newLink(socket, "r")
	l.selected.Store(socket.path(udp.LocalAddr().(*net.UDPAddr).AddrPort(), netip.Addr{}))
	l.pipe = newPipe(l)
	l.hungUp = func() { hungUp <- struct{}{} }
	var spawned sync.WaitGroup
	t.Cleanup(spawned.Wait)
	l.spawn = spawned.Go
	connected := make(chan *dtls.Conn)
	go func() {
		conn, err := dtls.Client(&dtlsClient{udp, l, func() { last(l) }}, &dtls.Config{
			Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true, SRTPProtectionProfiles: gcmProfiles, LoggerFactory: silentLogger,
		})
		if err != nil {
			t.Error(err)
		}
		connected <- conn
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	err = l.handshake(ctx, certificate, false, []siaran.Fingerprint{{Algorithm: "sha-256", Value: fingerprintOf(certificate.Certificate[0])}})
	conn := <-connected
	if err != nil || conn == nil {
		t.Fatal(err)
	}
	leave = sync.OnceFunc(func() {
		udp.Close()
		drain(conn) // or its reader's end could come before the goodbye
		conn.Close()
	})
	t.Cleanup(leave)
	return l, leave, hungUp
}

// TestHandshakeEndsWhateverFollows: dtls waits half a second over each flight that comes again, and nobody may keep a handshake's place with that.
func TestHandshakeEndsWhateverFollows(t *testing.T) {
	begun := time.Now()
	shakeHands(t, func(l *link) {
		for i := range dtlsQueue {
			record := make([]byte, 25) // with an empty handshake message of the far future
			copy(record, []byte{22, 0xfe, 0xfd})
			binary.BigEndian.PutUint16(record[9:], uint16(1000+i))
			record[12] = 12
			record[13], record[18] = 1, 77
			l.handleDTLS(record)
		}
	})
	if took := time.Since(begun); took > dtlsQueue*flightInterval/2 {
		t.Errorf("the handshake took %v", took)
	}
}

// TestGoodbyeIsSaid: the viewer's connection ends with a record of the server's, each time.
func TestGoodbyeIsSaid(t *testing.T) {
	l, leave, _ := shakeHands(t, func(*link) {})
	leave()
	viewer, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer viewer.Close()
	l.selected.Store(l.socket.path(viewer.LocalAddr().(*net.UDPAddr).AddrPort(), netip.Addr{}))
	for i := range 500 {
		l.parked.goodbye(l)
		if err := viewer.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, maxDatagram)
		if n, err := viewer.Read(b); err != nil || b[0] != 21 || !encryptedRecord(b[:n]) {
			t.Fatalf("goodbye %d: %v, %x", i, err, b[:n])
		}
	}
}

// TestGoodbyeRightAfterTheHandshake: a viewer may leave at once.
func TestGoodbyeRightAfterTheHandshake(t *testing.T) {
	for i := range 50 {
		_, leave, hungUp := shakeHands(t, func(*link) {})
		leave()
		select {
		case <-hungUp:
		case <-time.After(10 * time.Second):
			t.Fatalf("goodbye %d was not heard", i)
		}
	}
}
