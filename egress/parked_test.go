package egress

import (
	"crypto/tls"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/dtls/v2/pkg/crypto/selfsign"
)

// tappedConn keeps what was written last.
type tappedConn struct {
	net.Conn
	last []byte
}

func (c *tappedConn) Write(b []byte) (int, error) {
	c.last = append([]byte(nil), b...)
	return c.Conn.Write(b)
}

// goodbyes is a finished connection's state and the close_notify of its other side.
func goodbyes(t *testing.T) (*dtls.State, []byte) {
	t.Helper()
	certificate, err := selfsign.GenerateSelfSigned()
	if err != nil {
		t.Fatal(err)
	}
	config := &dtls.Config{Certificates: []tls.Certificate{certificate}, InsecureSkipVerify: true, LoggerFactory: silentLogger}
	near, far := net.Pipe()
	tap := &tappedConn{Conn: far}
	accepted := make(chan *dtls.Conn, 1)
	go func() {
		conn, err := dtls.Server(tap, config)
		if err != nil {
			t.Error(err)
		}
		accepted <- conn
	}()
	ours, err := dtls.Client(near, config)
	theirs := <-accepted
	if err != nil || theirs == nil {
		t.Fatal(err)
	}
	defer ours.Close()
	state := ours.ConnectionState()
	near.Close()
	drain(theirs) // or its reader's end could come before the goodbye
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	return &state, tap.last
}

// TestGoodbyeIsHeard: it comes once, so it may not be missed because of what else runs, or what came just before.
func TestGoodbyeIsHeard(t *testing.T) {
	socket, err := Listen("127.0.0.1:0", SocketOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	state, alert := goodbyes(t)
	done := make(chan struct{})
	for range 4 * runtime.GOMAXPROCS(0) { // goroutines that are made ready wait for their turn
		go func() {
			for {
				select {
				case <-done:
					return
				default:
					runtime.Gosched()
				}
			}
		}()
	}
	defer close(done)
	l := newLink(socket, "r")
	for i := range 500 {
		parked := &parkedDTLS{state: state}
		if !parked.closes(l, alert) {
			t.Fatalf("goodbye %d was not heard", i)
		}
	}
	forged := append([]byte(nil), alert...)
	forged[len(forged)-1] ^= 1
	if (&parkedDTLS{state: state}).closes(l, forged) {
		t.Error("a forged goodbye was believed")
	}

	heard := make(chan struct{}, 1)
	l.spawn = func(f func()) { f() }
	l.hungUp = func() { heard <- struct{}{} }
	parked := &parkedDTLS{state: state, flight: [][]byte{}}
	now := time.Now()
	for range 5 { // the end of its last flight, sent again
		parked.handle(l, []byte{22}, now)
	}
	parked.handle(l, alert, now)
	select {
	case <-heard:
	default:
		t.Error("a goodbye right after a flight was not heard")
	}
	for range 100 {
		parked.handle(l, forged, now)
	}
	if parked.admit(now) {
		t.Error("what is forged can be looked at without end")
	}
	if !parked.admit(now.Add(awakening)) {
		t.Error("nothing is looked at ever after")
	}
}
