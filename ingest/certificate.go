package ingest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/internal/sdp"
)

// ownCertificate is the certificate that sessions present in their handshake, and its fingerprint for their answers.
type ownCertificate struct {
	webrtc.Certificate
	fingerprint sdp.Fingerprint
}

// UseCertificate sets the certificate of new sessions; existing ones keep theirs. It fails, and changes nothing, when
// the certificate has expired or its key is not ECDSA P-256.
func (s *Server) UseCertificate(c *tls.Certificate) error {
	if len(c.Certificate) == 0 {
		return errors.New("ingest: the certificate is empty")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return fmt.Errorf("ingest: certificate: %w", err)
	}
	if time.Now().After(leaf.NotAfter) {
		return fmt.Errorf("ingest: the certificate expired on %s", leaf.NotAfter.Format(time.DateOnly))
	}
	key, ok := c.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return errors.New("ingest: the certificate's key must be ECDSA P-256")
	}
	certificate := webrtc.CertificateFromX509(key, leaf)
	s.certificate.Store(&ownCertificate{certificate, sdp.FingerprintOf(leaf.Raw)})
	return nil
}
