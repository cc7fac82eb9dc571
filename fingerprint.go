package siaran

import (
	"crypto"
	_ "crypto/sha1" // registers what crypto.Hash.New makes
	_ "crypto/sha256"
	_ "crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"strings"
)

// Fingerprint is a certificate's hash (RFC 8122).
type Fingerprint struct {
	Algorithm string // lower case, such as sha-256
	Value     string // hexadecimal with colons
}

var fingerprintHashes = map[string]crypto.Hash{
	"sha-1": crypto.SHA1, "sha-224": crypto.SHA224, "sha-256": crypto.SHA256, "sha-384": crypto.SHA384, "sha-512": crypto.SHA512,
}

// VerifyCertificate holds the certificate that a peer has shown in its DTLS handshake, the first
// of the chain in DER, against the fingerprints of its description; one of them must be its own (RFC 8122 section 5).
func VerifyCertificate(chain [][]byte, described []Fingerprint) error {
	if len(chain) == 0 {
		return errors.New("the peer has shown no certificate")
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
	return errors.New("the peer's certificate is not the one of its description")
}
