package sdp

import (
	"crypto"
	_ "crypto/sha1" // registers the hash for crypto.Hash.New
	"crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// Fingerprint is the hash of a certificate (RFC 8122).
type Fingerprint struct {
	Algorithm string // lower case, such as sha-256
	Value     string // hexadecimal with colons
}

// String returns the fingerprint as in a=fingerprint.
func (f Fingerprint) String() string { return f.Algorithm + " " + f.Value }

var fingerprintHashes = map[string]crypto.Hash{
	"sha-1": crypto.SHA1, "sha-224": crypto.SHA224, "sha-256": crypto.SHA256,
	"sha-384": crypto.SHA384, "sha-512": crypto.SHA512,
}

// FingerprintOf returns the SHA-256 fingerprint of a certificate in DER.
func FingerprintOf(certificate []byte) Fingerprint {
	sum := sha256.Sum256(certificate)
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return Fingerprint{Algorithm: "sha-256", Value: strings.Join(parts, ":")}
}

// VerifyCertificate checks the certificate that a peer has presented in its DTLS handshake, the first of the chain in
// DER, against the fingerprints of its description. One of them must match (RFC 8122 section 5).
func VerifyCertificate(chain [][]byte, described []Fingerprint) error {
	if len(chain) == 0 {
		return errors.New("the peer has presented no certificate")
	}
	for _, f := range described {
		hash, known := fingerprintHashes[f.Algorithm]
		want, err := hex.DecodeString(strings.ReplaceAll(f.Value, ":", ""))
		if !known || err != nil {
			continue
		}
		h := hash.New()
		h.Write(chain[0])
		if subtle.ConstantTimeCompare(h.Sum(nil), want) == 1 {
			return nil
		}
	}
	return errors.New("the peer's certificate does not match the fingerprints in its description")
}
