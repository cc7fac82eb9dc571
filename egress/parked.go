package egress

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
)

// awakening is how often at most a parked connection is looked at again: each costs a bit, and anyone
// who can forge the viewer's address can ask for it.
const awakening = 50 * time.Millisecond

// parkedDTLS is a finished DTLS connection at rest: its state, and no goroutine. Once the
// keys are taken out of it, all that can still matter is a goodbye, of either side, and a
// viewer that has not got our last flight and asks for it again (RFC 6347 section 4.2.4).
type parkedDTLS struct {
	state  *dtls.State
	flight [][]byte
	last   atomic.Int64 // unix nanoseconds
}

// park takes a connection apart whose handshake is done.
func (l *link) park(conn *dtls.Conn, pipe *dtlsPipe) {
	state := conn.ConnectionState() // a copy
	state.PeerCertificates = nil
	parked := &parkedDTLS{state: &state, flight: pipe.silence()}
	_ = conn.Close() // its close_notify is not let through
	for buf := make([]byte, 1); ; {
		if _, err := conn.Read(buf); err != nil {
			break // its reader has gone
		}
	}
	l.mu.Lock()
	l.pipe, l.parked = nil, parked
	l.mu.Unlock()
	for { // what came meanwhile
		select {
		case b := <-pipe.queue:
			parked.handle(l, b, time.Time{})
		default:
			return
		}
	}
}

// handle looks at a datagram of a viewer whose handshake is done.
func (p *parkedDTLS) handle(l *link, b []byte, now time.Time) {
	if !now.IsZero() {
		last := p.last.Load()
		if now.UnixNano()-last < int64(awakening) || !p.last.CompareAndSwap(last, now.UnixNano()) {
			return
		}
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
	pipe.finite.Store(true) // not before: the connection has to be up when the alert is read
	pipe.push(datagram)
	for buf := make([]byte, maxDatagram); err == nil; {
		_, err = conn.Read(buf) // until dtls has read all that there is
	}
	defer conn.Close()
	select {
	case <-pipe.done: // dtls closes it for an alert that ends the connection, and for nothing else
		return true
	default:
		return false
	}
}

// goodbye sends close_notify (RFC 5246 section 7.2.1).
func (p *parkedDTLS) goodbye(l *link) {
	if conn, err := p.resume(newPipe(l)); err == nil {
		_ = conn.Close()
	}
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
