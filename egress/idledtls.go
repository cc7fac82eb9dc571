package egress

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"hash"
	"io"
	"sync"
	"time"

	"siaran/mediaport"

	"github.com/pion/dtls/v3"
	"github.com/pion/dtls/v3/pkg/crypto/ciphersuite"
	"github.com/pion/dtls/v3/pkg/crypto/prf"
	"github.com/pion/dtls/v3/pkg/protocol"
	"github.com/pion/dtls/v3/pkg/protocol/alert"
	"github.com/pion/dtls/v3/pkg/protocol/recordlayer"
)

// How often the last flight is sent again. Anyone who can forge the viewer's address can ask for it, until the viewer's
// first report.
const (
	flightsInterval = 50 * time.Millisecond
	flightsBurst    = 16
)

// alertLength is that of the datagram in which an alert of a viewer comes (RFC 5246 sections 6.2.3.3 and 7.2, RFC 5288
// section 3): a record header, the nonce's explicit part, two bytes, and the tag.
const alertLength = recordlayer.FixedHeaderSize + 8 + 2 + 16

// idleDTLS is a finished DTLS connection at rest: its state without a goroutine. Once the media keys have been
// exported, only two things can still matter: a goodbye of either side, and a viewer that has not received our last
// flight and asks for it again (RFC 6347 section 4.2.4).
type idleDTLS struct {
	state   *dtls.State
	flight  [][]byte
	flights budget // of times that it is sent again

	mu      sync.Mutex
	derived *recordKeys // made when they are first needed
}

// recordKeys encrypt and decrypt the records of a connection.
type recordKeys struct {
	cipher   *ciphersuite.GCM
	sequence uint64 // of the next record of ours
}

// park takes apart a connection whose handshake is done.
func (l *link) park(conn *dtls.Conn, pipe *dtlsConn) error {
	flight := pipe.detach()
	state, ok := conn.ConnectionState() // a copy; dtls sends no record after it
	if !ok {
		return errors.Join(errors.New("dtls: no state after the handshake"), conn.Close())
	}
	state.PeerCertificates = nil
	parked := &idleDTLS{state: &state, flight: flight, flights: budget{interval: flightsInterval, burst: flightsBurst}}
	l.mu.Lock()
	closed := l.closed
	l.pipe = nil
	if !closed {
		l.parked = parked
	}
	l.mu.Unlock()
	for waiting := true; waiting; { // what has arrived in the meantime and dtls has not read
		select {
		case b := <-pipe.queue:
			parked.handle(l, b, time.Now())
		default:
			waiting = false
		}
	}
	pipe.finish()
	l.events.goTracked(func() { // dtls sleeps over each repeated flight, and the viewer must not wait for that
		drain(conn, pipe)
		left := pipe.closed()
		_ = conn.Close() // its close_notify goes nowhere
		pipe.leaveSlot()
		if left {
			l.events.ended(errLeft)
		}
	})
	return nil
}

// drain returns when dtls has read everything that its connection gives it. Read alone would not say so if the viewer
// has been sent away in the moment in which the handshake succeeded: dtls stops reading, and lets Read wait for ever.
func drain(conn *dtls.Conn, pipe *dtlsConn) {
	pipe.whenEnded(func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	buf := make([]byte, mediaport.MaxDatagram)
	for {
		// Other errors are about single records.
		if _, err := conn.Read(buf); errors.Is(err, io.EOF) || err != nil && pipe.isEnded() {
			return
		}
	}
}

// handle looks at a datagram of a viewer whose handshake is done. Alerts are not limited by number: a forged one costs
// the port's reader about as much as receiving it, and a limit could keep the viewer's own goodbye out.
func (p *idleDTLS) handle(l *link, b []byte, now time.Time) {
	if len(b) == 0 {
		return
	}
	switch b[0] {
	case 20, 22: // ChangeCipherSpec, Handshake: the viewer repeats its last flight
		if l.finished.Load() || !p.flights.take(now) {
			return
		}
		to := l.selected.Load()
		for _, d := range p.flight {
			l.transmit(d, to.path)
		}
	case 21:
		if p.closes(b) {
			l.events.ended(errLeft)
		}
	}
}

// closes reports whether a datagram is a genuine alert that ends the connection: close_notify, or a fatal one (RFC 5246
// section 7.2). A plaintext alert is not: anyone can forge it.
func (p *idleDTLS) closes(datagram []byte) bool {
	const header = recordlayer.FixedHeaderSize
	if len(datagram) != alertLength || binary.BigEndian.Uint16(datagram[3:]) != 1 { // epoch 0: no keys
		return false
	}
	if int(binary.BigEndian.Uint16(datagram[header-2:])) != len(datagram)-header {
		return false
	}
	keys := p.keys()
	if keys == nil {
		return false
	}
	plain, err := keys.cipher.Decrypt(recordlayer.Header{}, bytes.Clone(datagram))
	if err != nil {
		return false
	}
	var a alert.Alert
	if a.Unmarshal(plain[header:]) != nil {
		return false
	}
	return a.Level == alert.Fatal || a.Description == alert.CloseNotify
}

// goodbye sends close_notify (RFC 5246 section 7.2.1). It is called once.
func (p *idleDTLS) goodbye(l *link) {
	keys := p.keys()
	if keys == nil {
		return
	}
	record := &recordlayer.RecordLayer{
		Header:  recordlayer.Header{Epoch: 1, Version: protocol.Version1_2, SequenceNumber: keys.sequence},
		Content: &alert.Alert{Level: alert.Warning, Description: alert.CloseNotify},
	}
	plain, err := record.Marshal()
	if err != nil {
		return
	}
	sealed, err := keys.cipher.Encrypt(record, plain)
	if err != nil {
		return
	}
	if to := l.selected.Load(); to.trusted(time.Now()) {
		l.transmit(sealed, to.path)
	}
}

// keys derives the keys of records when they are first needed. It returns nil if the state lacks what they are made of.
func (p *idleDTLS) keys() *recordKeys {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.derived == nil && p.state != nil {
		p.derived, _ = keysOf(p.state)
		p.state = nil
	}
	return p.derived
}

// keysOf derives the keys of records (RFC 5246 section 6.3). pion/dtls gives out their ingredients only in the
// serialized form of a state; gob fills in the fields below by their names.
func keysOf(state *dtls.State) (*recordKeys, error) {
	stored, err := state.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var s struct {
		MasterSecret              []byte
		LocalRandom, RemoteRandom [32]byte
		CipherSuiteID             uint16
		SequenceNumber            uint64
		IsClient                  bool
	}
	if err := gob.NewDecoder(bytes.NewReader(stored)).Decode(&s); err != nil {
		return nil, err
	}
	keySize, newHash := 16, func() hash.Hash { return sha256.New() }
	if dtls.CipherSuiteID(s.CipherSuiteID) == dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 {
		keySize, newHash = 32, sha512.New384
	}
	client, server := s.RemoteRandom, s.LocalRandom
	if s.IsClient {
		client, server = server, client
	}
	const saltSize = 4 // RFC 5288 section 3
	keys, err := prf.GenerateEncryptionKeys(s.MasterSecret, client[:], server[:], 0, keySize, saltSize, newHash)
	if err != nil {
		return nil, err
	}
	ours, oursSalt, theirs, theirsSalt := keys.ServerWriteKey, keys.ServerWriteIV, keys.ClientWriteKey, keys.ClientWriteIV
	if s.IsClient {
		ours, oursSalt, theirs, theirsSalt = theirs, theirsSalt, ours, oursSalt
	}
	cipher, err := ciphersuite.NewGCM(ours, oursSalt, theirs, theirsSalt)
	if err != nil {
		return nil, err
	}
	return &recordKeys{cipher: cipher, sequence: s.SequenceNumber}, nil
}
