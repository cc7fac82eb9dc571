package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/srtp/v2"
	"github.com/pion/transport/v2/deadline"

	"siaran/internal/pionlog"
	"siaran/internal/sdp"
)

// flightInterval is the time after which a lost flight of the handshake is sent again.
const flightInterval = 300 * time.Millisecond

// profilesOf returns the profiles to ask for, best first. A server with its own preference may choose another one of
// them.
func profilesOf(c Cipher) []dtls.SRTPProtectionProfile {
	if c == CM {
		return []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
	}
	return []dtls.SRTPProtectionProfile{
		dtls.SRTP_AEAD_AES_128_GCM,
		dtls.SRTP_AEAD_AES_256_GCM,
		dtls.SRTP_AES128_CM_HMAC_SHA1_80,
	}
}

func profileName(p srtp.ProtectionProfile) string {
	switch p {
	case srtp.ProtectionProfileAeadAes128Gcm:
		return "AEAD_AES_128_GCM"
	case srtp.ProtectionProfileAeadAes256Gcm:
		return "AEAD_AES_256_GCM"
	case srtp.ProtectionProfileAes128CmHmacSha1_80:
		return "AES128_CM_HMAC_SHA1_80"
	}
	return fmt.Sprintf("0x%04x", uint16(p))
}

// keys is the result of a handshake.
type keys struct {
	profile srtp.ProtectionProfile
	in, out *srtp.Context
	conn    *dtls.Conn
	at      time.Duration // when they were agreed on
}

// handshake performs DTLS-SRTP (RFC 5764) over a pipe. The caller closes the connection, and mutes the pipe before if
// the server must not notice.
func handshake(ctx context.Context, p *pipe, certificate tls.Certificate, cipher Cipher, a *answer) (*keys, error) {
	config := &dtls.Config{
		Certificates:            []tls.Certificate{certificate},
		SRTPProtectionProfiles:  profilesOf(cipher),
		ClientAuth:              dtls.RequireAnyClientCert,
		InsecureSkipVerify:      true, // VerifyPeerCertificate checks the fingerprint instead
		InsecureSkipVerifyHello: true,
		FlightInterval:          flightInterval,
		LoggerFactory:           pionlog.Silent,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			return sdp.VerifyCertificate(raw, a.fingerprints)
		},
	}
	var conn *dtls.Conn
	var err error
	if a.active {
		conn, err = dtls.ServerWithContext(ctx, p, config)
	} else {
		conn, err = dtls.ClientWithContext(ctx, p, config)
	}
	if err != nil {
		return nil, fmt.Errorf("dtls: %w", err)
	}
	k, err := deriveKeys(conn, !a.active)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return k, nil
}

func deriveKeys(conn *dtls.Conn, isClient bool) (*keys, error) {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return nil, errors.New("dtls: no SRTP profile was negotiated")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	state := conn.ConnectionState()
	if err := config.ExtractSessionKeysFromDTLS(&state, isClient); err != nil {
		return nil, fmt.Errorf("srtp keys: %w", err)
	}
	in, err := srtp.CreateContext(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt, config.Profile)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	out, err := srtp.CreateContext(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, config.Profile)
	if err != nil {
		return nil, fmt.Errorf("srtp: %w", err)
	}
	return &keys{profile: config.Profile, in: in, out: out, conn: conn}, nil
}

// pipe presents a viewer as the net.Conn that dtls needs.
type pipe struct {
	queue    chan []byte
	send     func([]byte)
	muted    atomic.Bool // discards what is written
	deadline *deadline.Deadline
	done     chan struct{}
	once     sync.Once
}

func newPipe(send func([]byte)) *pipe {
	return &pipe{queue: make(chan []byte, 32), send: send, deadline: deadline.New(), done: make(chan struct{})}
}

// push queues a datagram for Read. It never waits: if the queue is full, the datagram is lost, as on the network.
func (p *pipe) push(b []byte) {
	select {
	case p.queue <- bytes.Clone(b):
	default:
	}
}

func (p *pipe) Read(b []byte) (int, error) {
	select {
	case d := <-p.queue:
		return copy(b, d), nil
	case <-p.done:
		return 0, net.ErrClosed
	case <-p.deadline.Done():
		return 0, context.DeadlineExceeded
	}
}

func (p *pipe) Write(b []byte) (int, error) {
	if !p.muted.Load() {
		p.send(b)
	}
	return len(b), nil
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.done) })
	return nil
}

func (p *pipe) LocalAddr() net.Addr  { return &net.UDPAddr{} }
func (p *pipe) RemoteAddr() net.Addr { return &net.UDPAddr{} }

func (p *pipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

func (p *pipe) SetReadDeadline(t time.Time) error {
	p.deadline.Set(t)
	return nil
}

func (p *pipe) SetWriteDeadline(time.Time) error { return nil } // writes never wait
