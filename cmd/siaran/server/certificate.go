package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"siaran/internal/durable"
)

const (
	CertificateFile  = "media-cert.pem"
	certificateLife  = 365 * 24 * time.Hour
	certificateRenew = 60 * 24 * time.Hour // before it expires
	certificateCheck = time.Hour           // while the server runs; short because clocks are adjusted and machines sleep
)

// openCertificate returns the certificate of all media sessions (DTLS). Every answer contains its fingerprint. The
// certificate and its key are in one PEM file of mode 0600 in the data folder. A certificate that is missing, is not
// valid PEM or is about to expire is replaced: nothing is lost by that.
func openCertificate(dir string, now time.Time) (*tls.Certificate, error) {
	path := filepath.Join(dir, CertificateFile)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the media certificate cannot be read: %w", err)
	}
	if pair, err := tls.X509KeyPair(text, text); err == nil {
		_, ecdsaKey := pair.PrivateKey.(*ecdsa.PrivateKey)
		if ecdsaKey && now.After(pair.Leaf.NotBefore) && now.Add(certificateRenew).Before(pair.Leaf.NotAfter) {
			return &pair, os.Chmod(path, 0o600)
		}
	}
	text, err = newCertificate(now)
	if err != nil {
		return nil, fmt.Errorf("the media certificate cannot be made: %w", err)
	}
	if err := writeWhole(path, text); err != nil {
		return nil, fmt.Errorf("the media certificate cannot be saved: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	return &pair, err
}

// renewCertificate replaces the certificate in use before it expires and calls use with each new one, until ctx ends.
// It logs a failure and tries again at the next check.
func renewCertificate(
	ctx context.Context, dir string, inUse *tls.Certificate, use func(*tls.Certificate) error, logger *slog.Logger,
) {
	tick := time.NewTicker(certificateCheck)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if time.Now().Add(certificateRenew).Before(inUse.Leaf.NotAfter) {
			continue
		}
		fresh, err := openCertificate(dir, time.Now())
		if err == nil {
			err = use(fresh)
		}
		if err != nil {
			logger.Warn("could not renew the media certificate; check that the data folder is writable and has free space",
				"expires", inUse.Leaf.NotAfter,
				"error", err,
			)
			continue
		}
		inUse = fresh
		logger.Info("new sessions use a new media certificate", "expires", fresh.Leaf.NotAfter)
	}
}

func newCertificate(now time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "siaran"},
		NotBefore:    now.Add(-24 * time.Hour), // clocks differ
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})...), nil
}

// writeWhole writes a file of mode 0600, or leaves the old file as it was.
func writeWhole(path string, text []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return durable.SyncFolder(filepath.Dir(path))
}
