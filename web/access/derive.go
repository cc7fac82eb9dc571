package access

import (
	"crypto/hkdf"
	"crypto/sha256"
)

// Derive makes a secret of 32 bytes for another purpose, named by label (RFC 5869). It reveals nothing about this one.
func (s *Secret) Derive(label string) []byte {
	key, err := hkdf.Key(sha256.New, s.key(), nil, label, sha256.Size)
	if err != nil {
		panic(err) // only if more than 8160 bytes are asked for
	}
	return key
}
