package egress

import (
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
)

// awakening is how often at most a parked connection is looked at again in the long run: each costs a bit, and anyone
// who can forge the viewer's address can ask for it. A few may follow at once: a goodbye comes once, and soon after a lost flight maybe.
const (
	awakening  = 50 * time.Millisecond
	awakenings = 16
)

// parkedDTLS is a finished DTLS connection at rest: its state, and no goroutine. Once the
// keys are taken out of it, all that can still matter is a goodbye, of either side, and a
// viewer that has not got our last flight and asks for it again (RFC 6347 section 4.2.4).
type parkedDTLS struct {
	state  *dtls.State
	flight [][]byte
	next   atomic.Int64 // unix nanoseconds; when all that came would have been looked at, one every awakening
}

// park takes a connection apart whose handshake is done.
func (l *link) park(conn *dtls.Conn, pipe *dtlsPipe) {
	state := conn.ConnectionState() // a copy
	state.PeerCertificates = nil
	parked := &parkedDTLS{state: &state, flight: pipe.silence()}
	l.mu.Lock()
	l.pipe, l.parked = nil, parked
	l.mu.Unlock()
	for waiting := true; waiting; { // what came meanwhile and dtls has not read
		select {
		case b := <-pipe.queue:
			parked.handle(l, b, time.Now())
		default:
			waiting = false
		}
	}
	pipe.finish()
	l.spawn(func() { // dtls takes half a second for each flight that has come again, so the viewer is not kept waiting for that
		drain(conn)
		left := pipe.closed()
		_ = conn.Close() // its close_notify is not let through
		pipe.leavePlace()
		if left {
			l.hungUp()
		}
	})
}

// drain returns when dtls has read all that its pipe lets it read.
func drain(conn *dtls.Conn) {
	buf := make([]byte, maxDatagram)
	for {
		if _, err := conn.Read(buf); errors.Is(err, io.EOF) { // other errors are of single records
			return
		}
	}
}

// handle looks at a datagram of a viewer whose handshake is done.
func (p *parkedDTLS) handle(l *link, b []byte, now time.Time) {
	if b[0] < 20 || b[0] > 22 || !p.admit(now) {
		return
	}
	switch b[0] {
	case 20, 22: // ChangeCipherSpec, Handshake: it is still in its own last flight
		for _, d := range p.flight {
			l.socket.send(d, l.selected.Load())
		}
	case 21: // Alert
		if !encryptedRecord(b) {
			return // pion/dtls believes alerts in plain, which anyone can forge
		}
		datagram := append([]byte(nil), b...)
		l.spawn(func() {
			if p.closes(l, datagram) {
				l.hungUp()
			}
		})
	}
}

// admit tells whether a datagram that comes now may be looked at. Its callers are the socket's readers.
func (p *parkedDTLS) admit(now time.Time) bool {
	for {
		next := p.next.Load()
		base := max(next, now.UnixNano())
		if base-now.UnixNano() > int64((awakenings-1)*awakening) {
			return false
		}
		if p.next.CompareAndSwap(next, base+int64(awakening)) {
			return true
		}
	}
}

// encryptedRecord tells whether a datagram is one DTLS record and of an epoch with keys (RFC 6347 section 4.1).
func encryptedRecord(b []byte) bool {
	return len(b) > 13 && binary.BigEndian.Uint16(b[3:]) > 0 && int(binary.BigEndian.Uint16(b[11:])) == len(b)-13
}

// closes tells whether a datagram holds a genuine close_notify or fatal alert.
func (p *parkedDTLS) closes(l *link, datagram []byte) bool {
	pipe := newPipe(l)
	pipe.silence()
	conn, err := p.resume(pipe)
	if err != nil {
		return false
	}
	pipe.push(datagram) // not before: the connection has to be up when the alert is read
	pipe.finish()       // and not before that, or it would not be read
	drain(conn)
	defer conn.Close()
	return pipe.closed() // dtls closes it for an alert that ends the connection, and for nothing else
}

// goodbye sends close_notify (RFC 5246 section 7.2.1).
func (p *parkedDTLS) goodbye(l *link) {
	pipe := newPipe(l)
	conn, err := p.resume(pipe)
	if err != nil {
		return
	}
	pipe.finish()
	drain(conn) // or dtls's reader could close the pipe before the alert is out
	_ = conn.Close()
}

func (p *parkedDTLS) resume(pipe *dtlsPipe) (*dtls.Conn, error) {
	// A clone each time: a resumed connection counts on in its own.
	raw, err := p.state.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var state dtls.State
	if err := state.UnmarshalBinary(raw); err != nil {
		return nil, err
	}
	return dtls.Resume(&state, pipe, &dtls.Config{InsecureSkipVerify: true, LoggerFactory: silentLogger})
}
