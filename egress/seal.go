package egress

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

var errTooLarge = errors.New("the packet does not fit into a datagram")

// rtpSealer encrypts a viewer's RTP packets (RFC 3711). Only the viewer's worker uses it.
type rtpSealer interface {
	// seal writes the encrypted packet to room and returns its length. Its header is in room already, headerLength bytes;
	// its payload is anywhere, or right after the header. index is the extended sequence number. Two packets with the same
	// SSRC and index must be identical.
	seal(room, payload []byte, index int64) (int, error)
}

// newSealer makes the sealer for a profile and a master key. context is pion's for the same key; it does the work if
// there is nothing cheaper.
func newSealer(
	profile srtp.ProtectionProfile, key, salt []byte, context *srtp.Context,
) (rtpSealer, error) {
	switch profile {
	case srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAeadAes256Gcm:
		return newGCMSealer(key, salt)
	default:
		return &pionSealer{context: context}, nil
	}
}

// gcmSealer is AES-GCM (RFC 7714) without what pion's context does for each packet: looking up the SSRC, guessing the
// rollover counter, and copying header and payload into one piece. Together that costs two thirds of what the cipher
// costs.
type gcmSealer struct {
	aead  cipher.AEAD
	salt  [gcmNonce]byte
	nonce [gcmNonce]byte // of the current packet; a field because a local variable would escape
}

const gcmNonce = 12

func newGCMSealer(key, salt []byte) (*gcmSealer, error) {
	if len(salt) != gcmNonce {
		return nil, errors.New("srtp: wrong length of salt")
	}
	sessionKey, err := deriveKey(labelEncryption, key, salt, len(key))
	if err != nil {
		return nil, err
	}
	sessionSalt, err := deriveKey(labelSalt, key, salt, gcmNonce)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sessionKey)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &gcmSealer{aead: aead, salt: [gcmNonce]byte(sessionSalt)}, nil
}

func (s *gcmSealer) seal(room, payload []byte, index int64) (int, error) {
	head := headerLength(room)
	if head+len(payload)+s.aead.Overhead() > len(room) {
		return 0, errTooLarge
	}
	// RFC 7714 section 8.1: two zero bytes, SSRC, rollover counter and sequence number, XORed with the salt.
	n := &s.nonce
	copy(n[:2], s.salt[:2])
	binary.BigEndian.PutUint32(n[2:], binary.BigEndian.Uint32(s.salt[2:])^binary.BigEndian.Uint32(room[8:]))
	binary.BigEndian.PutUint32(n[6:], binary.BigEndian.Uint32(s.salt[6:])^uint32(index>>16))
	binary.BigEndian.PutUint16(n[10:], binary.BigEndian.Uint16(s.salt[10:])^uint16(index))
	return head + len(s.aead.Seal(room[head:head], n[:], payload, room[:head])), nil
}

// Labels of session keys (RFC 3711 section 4.3.1).
const (
	labelEncryption = 0
	labelSalt       = 2
)

// deriveKey derives a session key from a master key and its salt (RFC 3711 section 4.3.3, without rekeying). The salt
// of AES-GCM is shorter than there and padded with zeros (RFC 7714 section 11).
func deriveKey(label byte, key, salt []byte, length int) ([]byte, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	iv := make([]byte, aes.BlockSize)
	copy(iv, salt)
	iv[7] ^= label
	derived := make([]byte, length)
	cipher.NewCTR(block, iv).XORKeyStream(derived, derived)
	return derived, nil
}

// pionSealer handles every other cipher.
type pionSealer struct {
	context *srtp.Context
	header  rtp.Header // saves an allocation for each packet
}

func (s *pionSealer) seal(room, payload []byte, _ int64) (int, error) {
	head := headerLength(room)
	if head+len(payload)+maxTag > len(room) {
		return 0, errTooLarge
	}
	plain := room[:head+copy(room[head:], payload)]
	sealed, err := s.context.EncryptRTP(room, plain, &s.header)
	return len(sealed), err
}

// maxTag is the longest authentication tag of a profile.
const maxTag = 16
