// Package testutil has what tests of several packages need.
package testutil

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"
)

// Patience bounds the wait for what happens at once, on a machine that may be busy with other things. No test waits so
// long unless it fails.
const Patience = 2 * time.Minute

// Eventually waits until ok, and fails the test if that takes longer than it can on a busy machine.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	EventuallyWithin(t, Patience, what, ok)
}

// EventuallyWithin is Eventually with a limit of its own.
func EventuallyWithin(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	const least, most = 5 * time.Millisecond, 50 * time.Millisecond
	pause := least
	for deadline := time.Now().Add(limit); !ok(); pause = min(pause+pause/8, most) { // asking costs, of servers too
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		time.Sleep(pause)
	}
}

// Certificate makes a self-signed certificate for 127.0.0.1, for servers whose clients check a fingerprint or
// nothing. For clients that verify, see testca.
func Certificate(t testing.TB) *tls.Certificate {
	t.Helper()
	now := time.Now()
	return CertificateBetween(t, now.Add(-time.Hour), now.Add(time.Hour))
}

// CertificateBetween is Certificate with a validity of its own.
func CertificateBetween(t testing.TB, begin, end time.Time) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: end, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
