package access

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"siaran"
)

// Derive makes a secret of 32 bytes for another purpose, named by label (RFC 5869). It reveals nothing about this one.
func (s *Secret) Derive(label string) []byte { return derive(s.key(), label) }

func derive(secret []byte, label string) []byte {
	key, err := hkdf.Key(sha256.New, secret, nil, label, sha256.Size)
	if err != nil {
		panic(err) // only if more than 8160 bytes are asked for
	}
	return key
}

// Publisher makes a proof that an owner publishes a broadcast, which anybody may read: it can be neither made nor
// understood without the secret, and is another one for each broadcast.
func (s *Secret) Publisher(stream siaran.StreamName, broadcast siaran.BroadcastID, owner string) string {
	return publisher(s.key(), stream, broadcast, owner)
}

// Publishes reports whether a proof of Publisher is that of this owner, made with a secret that is accepted.
func (s *Secret) Publishes(
	proof string, stream siaran.StreamName, broadcast siaran.BroadcastID, owner string,
) bool {
	if owner == "" {
		return false
	}
	for _, key := range s.keys.Load().accepted.Keys {
		key, _ := key.([]byte)
		if hmac.Equal([]byte(proof), []byte(publisher(key, stream, broadcast, owner))) {
			return true
		}
	}
	return false
}

func publisher(key []byte, stream siaran.StreamName, broadcast siaran.BroadcastID, owner string) string {
	mac := hmac.New(sha256.New, derive(key, "publisher of a broadcast"))
	for _, part := range []string{string(stream), string(broadcast), owner} {
		mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		mac.Write([]byte(part))
	}
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:16])
}
