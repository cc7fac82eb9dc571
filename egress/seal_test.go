package egress

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"testing"

	"siaran/mediaport"

	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// TestSealersAgreeWithPion: what they write is byte for byte what pion writes and reads, also around wraps.
func TestSealersAgreeWithPion(t *testing.T) {
	for _, profile := range []srtp.ProtectionProfile{
		srtp.ProtectionProfileAeadAes128Gcm, srtp.ProtectionProfileAeadAes256Gcm, srtp.ProtectionProfileAes128CmHmacSha1_80,
	} {
		t.Run(profile.String(), func(t *testing.T) {
			random := rand.NewChaCha8([32]byte{1})
			keyLength, _ := profile.KeyLen()
			saltLength, _ := profile.SaltLen()
			key, salt := make([]byte, keyLength), make([]byte, saltLength)
			_, _ = random.Read(key)
			_, _ = random.Read(salt)
			context := func() *srtp.Context {
				c, err := srtp.CreateContext(key, salt, profile)
				if err != nil {
					t.Fatal(err)
				}
				return c
			}
			s, err := newSealer(profile, key, salt, context())
			if err != nil {
				t.Fatal(err)
			}
			theirs, reader := context(), context()
			tr := &track{plan: plan{PayloadType: 96, SSRC: 0x89abcdef}}
			room := make([]byte, mediaport.MaxDatagram)
			for index := int64(32_700); index < 3<<16; index += 1 + int64(random.Uint64()%999) {
				payload := make([]byte, random.Uint64()%1200)
				_, _ = random.Read(payload)
				tr.head(room, 96, tr.SSRC, index, uint32(index*3000), index%3 == 0)
				if index%5 == 0 {
					e := extensions{b: room}
					(&hold{delay: mostHold}).write(&e, 5)
					e.finish()
				}
				head := headerLength(room)
				plain := append(bytes.Clone(room[:head]), payload...)
				want, err := theirs.EncryptRTP(nil, plain, nil)
				if err != nil {
					t.Fatal(err)
				}
				if index%2 == 0 { // in place
					payload = append(room[head:head], payload...)
				}
				n, err := s.seal(room, payload, index)
				if err != nil || !bytes.Equal(room[:n], want) {
					t.Fatalf("packet %d of %d bytes: %v, or other bytes than pion's", index, len(plain), err)
				}
				if got, err := reader.DecryptRTP(nil, room[:n], &rtp.Header{}); err != nil || !bytes.Equal(got, plain) {
					t.Fatalf("packet %d: %v, or not what it was", index, err)
				}
			}
			tooLarge := make([]byte, mediaport.MaxDatagram-headerLength(room)-8)
			if _, err := s.seal(room, tooLarge, 0); !errors.Is(err, errTooLarge) {
				t.Errorf("a packet without room for its tag: %v", err)
			}
		})
	}
}

// TestDeriveKey has the vectors of RFC 3711 appendix B.3.
func TestDeriveKey(t *testing.T) {
	key, salt := unhex(t, "E1F97A0D3E018BE0D64FA32C06DE4139"), unhex(t, "0EC675AD498AFEEBB6960B3AABE6")
	for label, want := range map[byte]string{
		labelEncryption: "C61E7A93744F39EE10734AFE3FF7A087",
		labelSalt:       "30CBBC08863D8C85D49DB34A9AE1",
	} {
		got, err := deriveKey(label, key, salt, len(want)/2)
		if err != nil || !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("label %d: %x, %v; want %s", label, got, err, want)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
