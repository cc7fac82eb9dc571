package egress

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pion/dtls/v2"
	"github.com/pion/logging"
	"github.com/pion/srtp/v2"

	"siaran"
)

// flightInterval is how long a lost DTLS flight is waited for before it is sent again.
const flightInterval = 500 * time.Millisecond

// AES-GCM costs an eighth of AES-CM with HMAC-SHA1 in Go, and least with the short key. A server
// of dtls v2 follows the client's order, and browsers list AES-CM first and the long key
// before the short one, so each is offered only where there is nothing cheaper (P44).
var (
	gcmProfiles = []dtls.SRTPProtectionProfile{dtls.SRTP_AEAD_AES_128_GCM, dtls.SRTP_AEAD_AES_256_GCM}
	cmProfiles  = []dtls.SRTPProtectionProfile{dtls.SRTP_AES128_CM_HMAC_SHA1_80}
)

// handshake does DTLS-SRTP over the link (RFC 5764), sets up its encryption and parks the
// connection. The peer's address has been proven by ICE, so no cookie is asked for (P62).
func (l *link) handshake(ctx context.Context, certificate tls.Certificate, isClient bool, fingerprints []siaran.Fingerprint) error {
	l.mu.Lock()
	pipe := l.pipe
	l.mu.Unlock()
	pipe.places = l.places
	defer pipe.leavePlace()
	config := &dtls.Config{
		Certificates:            []tls.Certificate{certificate},
		ClientAuth:              dtls.RequireAnyClientCert,
		InsecureSkipVerify:      true, // the certificate is verified by its fingerprint
		InsecureSkipVerifyHello: true,
		FlightInterval:          flightInterval,
		LoggerFactory:           silentLogger,
		VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) error {
			return siaran.VerifyCertificate(raw, fingerprints)
		},
	}
	var conn *dtls.Conn
	var err error
	if isClient {
		config.SRTPProtectionProfiles = slices.Concat(gcmProfiles, cmProfiles)
		conn, err = dtls.ClientWithContext(ctx, pipe, config)
	} else {
		if config.SRTPProtectionProfiles, err = pipe.profiles(ctx); err != nil {
			return err
		}
		conn, err = dtls.ServerWithContext(ctx, pipe, config)
	}
	if err != nil {
		return fmt.Errorf("dtls: %w", err)
	}
	if err := l.secure(conn, isClient); err != nil {
		return errors.Join(err, conn.Close())
	}
	l.park(conn, pipe)
	return nil
}

// cheapest is what to offer to a viewer that offers these.
func cheapest(offered []dtls.SRTPProtectionProfile) []dtls.SRTPProtectionProfile {
	for _, p := range gcmProfiles {
		if slices.Contains(offered, p) {
			return []dtls.SRTPProtectionProfile{p}
		}
	}
	return cmProfiles
}

// profiles waits for the ClientHello and says what to offer to it. The datagrams are kept for the handshake proper.
func (p *dtlsPipe) profiles(ctx context.Context) ([]dtls.SRTPProtectionProfile, error) {
	var hello helloReader
	for total := 0; total < 2*maxHello; {
		datagram, err := p.peek(ctx)
		if err != nil {
			return nil, err
		}
		total += len(datagram)
		if !hello.add(datagram) {
			continue
		}
		return cheapest(hello.profiles()), nil
	}
	return nil, errors.New("dtls: no ClientHello in what the viewer sent")
}

// secure derives the SRTP keys and makes the contexts for both ways.
func (l *link) secure(conn *dtls.Conn, isClient bool) error {
	profile, ok := conn.SelectedSRTPProtectionProfile()
	if !ok {
		return errors.New("dtls: the viewer negotiated no SRTP profile")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	state := conn.ConnectionState()
	if err := config.ExtractSessionKeysFromDTLS(&state, isClient); err != nil {
		return fmt.Errorf("srtp keys: %w", err)
	}
	var err error
	if l.out, err = srtp.CreateContext(config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, config.Profile); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	if l.media, err = newSealer(config.Profile, config.Keys.LocalMasterKey, config.Keys.LocalMasterSalt, l.out); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	if l.in, err = srtp.CreateContext(config.Keys.RemoteMasterKey, config.Keys.RemoteMasterSalt, config.Profile, srtp.SRTCPReplayProtection(64)); err != nil {
		return fmt.Errorf("srtp: %w", err)
	}
	return nil
}

// silentLogger keeps pion's logs out of ours: strangers can fill them (P25).
var silentLogger = &logging.DefaultLoggerFactory{DefaultLogLevel: logging.LogLevelDisabled, ScopeLevels: map[string]logging.LogLevel{}}
