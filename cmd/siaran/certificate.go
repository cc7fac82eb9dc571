package main

import (
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
	"math/big"
	"os"
	"path/filepath"
	"time"
)

const (
	certificateFile  = "media-cert.pem"
	certificateLife  = 365 * 24 * time.Hour
	certificateRenew = 60 * 24 * time.Hour // before it expires
)

// openCertificate gives the certificate of all media sessions (DTLS), whose fingerprint stands in every answer. It
// is kept in the data folder, certificate and key in one PEM file of mode 0600. One that is
// missing, unreadable as PEM or near its end is made anew: nothing is lost by that.
func openCertificate(dir string, now time.Time) (*tls.Certificate, error) {
	path := filepath.Join(dir, certificateFile)
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
		return nil, fmt.Errorf("the media certificate cannot be kept: %w", err)
	}
	pair, err := tls.X509KeyPair(text, text)
	return &pair, err
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

// writeWhole puts a file of mode 0600 in place, or leaves what was there.
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
	return nil
}
