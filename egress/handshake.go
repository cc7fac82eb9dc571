package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"

	"siaran/internal/pionlog"
	"siaran/internal/sdp"
)

// flightInterval is how long an answer to a DTLS flight is awaited before the flight is sent again.
const flightInterval = 500 * time.Millisecond

// profiles are the ways to protect media, in the order in which a server chooses. In Go AES-GCM costs an eighth of
// AES-CM with HMAC-SHA1, and least with the short key. Browsers support all of them.
var profiles = []dtls.SRTPProtectionProfile{
	dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM, dtls.SRTP_AES128_CM_HMAC_SHA1_80,
}

// suites are the ways to protect DTLS itself. Every WebRTC endpoint supports the first (RFC 8827 section 6.5). idleDTLS
// depends on these being all.
var suites = []dtls.CipherSuiteID{
	dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
}

// handshake performs DTLS-SRTP over the link (RFC 5764), sets up its encryption and lays the connection to rest. The
// viewer's address has answered a check of ours by then, so no cookie is needed (RFC 6347 section 4.2.1).
func (l *link) handshake(
	ctx context.Context, certificate tls.Certificate, isClient bool, fingerprints []sdp.Fingerprint,
) error {
	l.mu.Lock()
	pipe := l.pipe
	l.mu.Unlock()
	pipe.slots = l.events.handshakeSlots()
	defer pipe.leaveSlot()
	shared := []dtls.Option{
		dtls.WithCertificates(certificate),
		dtls.WithCipherSuites(suites...),
		dtls.WithSRTPProtectionProfiles(profiles...),
		dtls.WithInsecureSkipVerify(true), // the fingerprint is what verifies the certificate
		dtls.WithVerifyPeerCertificate(func(raw [][]byte, _ [][]*x509.Certificate) error {
			return sdp.VerifyCertificate(raw, fingerprints)
		}),
		dtls.WithFlightInterval(flightInterval),
		dtls.WithLoggerFactory(pionlog.Silent),
	}
	var conn *dtls.Conn
	var err error
	if isClient {
		var options []dtls.ClientOption
		for _, o := range shared {
			options = append(options, o)
		}
		conn, err = dtls.ClientWithOptions(pipe, pipe.remote(), options...)
	} else {
		options := []dtls.ServerOption{
			dtls.WithClientAuth(dtls.RequireAnyClientCert), dtls.WithInsecureSkipVerifyHello(true),
		}
		for _, o := range shared {
			options = append(options, o)
		}
		conn, err = dtls.ServerWithOptions(pipe, pipe.remote(), options...)
	}
	if err != nil {
		return fmt.Errorf("dtls: %w", err)
	}
	if err := conn.HandshakeContext(ctx); err != nil {
		return errors.Join(fmt.Errorf("dtls: %w", err), conn.Close())
	}
	if err := l.secure(conn, isClient); err != nil {
		return errors.Join(err, conn.Close())
	}
	return l.park(conn, pipe)
}

// secure derives the SRTP keys and makes the contexts for both directions.
func (l *link) secure(conn *dtls.Conn, isClient bool) error {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("dtls: the viewer negotiated no SRTP profile")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	state, ok := conn.ConnectionState()
	if !ok {
		return errors.New("dtls: no state after the handshake")
	}
	if err := config.ExtractSessionKeysFromDTLS(&state, isClient); err != nil {
		return fmt.Errorf("srtp keys: %w", err)
	}
	keys := config.Keys
	var err error
	if l.out, err = srtp.CreateContext(keys.LocalMasterKey, keys.LocalMasterSalt, config.Profile); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	if l.media, err = newSealer(config.Profile, keys.LocalMasterKey, keys.LocalMasterSalt, l.out); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	in, err := srtp.CreateContext(
		keys.RemoteMasterKey, keys.RemoteMasterSalt, config.Profile, srtp.SRTCPReplayProtection(64))
	if err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	l.in.use(in)
	return nil
}

// remote is the viewer's address for dtls, which only passes it on.
func (c *dtlsConn) remote() net.Addr {
	if to := c.link.selected.Load(); to != nil {
		return net.UDPAddrFromAddrPort(to.path.Address())
	}
	return &net.UDPAddr{}
}
