package egress

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v2"
)

var errTooLarge = errors.New("the packet does not fit into a datagram")

// rtpSealer encrypts a viewer's RTP packets (RFC 3711). Only the viewer's worker uses it.
type rtpSealer interface {
	// seal writes the encrypted packet to room and returns its length. Its header is in room already, headerSize bytes; its
	// payload is anywhere, or right behind the header. index is the sequence number without wraps. Two packets of one SSRC and
	// index must be the same.
	seal(room, payload []byte, index int64) (int, error)
}

// newSealer makes the sealer for a profile and a master key. context is pion's for the same; where there is nothing cheaper it does the work.
func newSealer(profile srtp.ProtectionProfile, key, salt []byte, context *srtp.Context) (rtpSealer, error) {
	switch profile {
	case srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAeadAes256Gcm:
		return newGCMSealer(key, salt)
	default:
		return &pionSealer{context: context}, nil
	}
}

// gcmSealer is AES-GCM (RFC 7714) without what pion's context does for each packet: it looks for the SSRC, guesses the rollover
// counter, and wants header and payload in one piece, which is a copy. Together that is two thirds of what the cipher takes.
type gcmSealer struct {
	aead  cipher.AEAD
	salt  [gcmNonce]byte
	nonce [gcmNonce]byte // of the packet at hand; a field because it would escape
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
	if headerSize+len(payload)+s.aead.Overhead() > len(room) {
		return 0, errTooLarge
	}
	// RFC 7714 section 8.1: two zeros, SSRC, rollover counter and sequence number, with the salt added.
	n := &s.nonce
	copy(n[:2], s.salt[:2])
	binary.BigEndian.PutUint32(n[2:], binary.BigEndian.Uint32(s.salt[2:])^binary.BigEndian.Uint32(room[8:]))
	binary.BigEndian.PutUint32(n[6:], binary.BigEndian.Uint32(s.salt[6:])^uint32(index>>16))
	binary.BigEndian.PutUint16(n[10:], binary.BigEndian.Uint16(s.salt[10:])^uint16(index))
	return headerSize + len(s.aead.Seal(room[headerSize:headerSize], n[:], payload, room[:headerSize])), nil
}

// Labels of session keys (RFC 3711 section 4.3.1).
const (
	labelEncryption = 0
	labelSalt       = 2
)

// deriveKey makes a session key of a master key and its salt (RFC 3711 section 4.3.3, without rekeying), which for
// AES-GCM is shorter than there and filled up with zeros (RFC 7714 section 11).
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

// pionSealer is every other cipher.
type pionSealer struct {
	context *srtp.Context
	header  rtp.Header // saves an allocation a packet
}

func (s *pionSealer) seal(room, payload []byte, _ int64) (int, error) {
	if headerSize+len(payload)+maxTag > len(room) {
		return 0, errTooLarge
	}
	plain := room[:headerSize+copy(room[headerSize:], payload)]
	sealed, err := s.context.EncryptRTP(room, plain, &s.header)
	return len(sealed), err
}

// maxTag is the longest authentication tag of a profile.
const maxTag = 16
