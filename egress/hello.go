package egress

import (
	"golang.org/x/crypto/cryptobyte"

	"github.com/pion/dtls/v2"
)

const maxHello = 8 << 10 // bytes of a ClientHello; one with a post-quantum key share has about 1500

// helloReader puts a ClientHello together from the datagrams it comes in (RFC 6347 section 4.2.3);
// Firefox's is larger than one (C49).
type helloReader struct {
	body []byte
	have []bool // which bytes of body have come
	left int    // how many have not
}

// add takes a datagram and tells whether the ClientHello is whole. What is no handshake is ignored.
func (r *helloReader) add(datagram []byte) bool {
	records := cryptobyte.String(datagram)
	for !records.Empty() {
		var kind uint8
		var fragment cryptobyte.String
		if !records.ReadUint8(&kind) || !records.Skip(10) || !records.ReadUint16LengthPrefixed(&fragment) {
			break
		}
		if kind == 22 {
			r.addFragment(fragment)
		}
	}
	return r.body != nil && r.left == 0
}

func (r *helloReader) addFragment(s cryptobyte.String) {
	var kind uint8
	var length, offset uint32
	var data cryptobyte.String
	if !s.ReadUint8(&kind) || !s.ReadUint24(&length) || !s.Skip(2) || !s.ReadUint24(&offset) || !s.ReadUint24LengthPrefixed(&data) {
		return
	}
	if kind != 1 || length == 0 || length > maxHello || uint64(offset)+uint64(len(data)) > uint64(length) {
		return
	}
	if len(r.body) != int(length) {
		r.body, r.have, r.left = make([]byte, length), make([]bool, length), int(length)
	}
	copy(r.body[offset:], data)
	for i := range data {
		if !r.have[int(offset)+i] {
			r.have[int(offset)+i] = true
			r.left--
		}
	}
}

// profiles is what the whole ClientHello's use_srtp extension lists (RFC 5764 section 4.1.1), in the client's order.
func (r *helloReader) profiles() []dtls.SRTPProtectionProfile {
	s := cryptobyte.String(r.body)
	var skip, extensions cryptobyte.String
	if !s.Skip(2+32) || // version, random
		!s.ReadUint8LengthPrefixed(&skip) || // session id
		!s.ReadUint8LengthPrefixed(&skip) || // cookie
		!s.ReadUint16LengthPrefixed(&skip) || // cipher suites
		!s.ReadUint8LengthPrefixed(&skip) || // compression methods
		!s.ReadUint16LengthPrefixed(&extensions) {
		return nil
	}
	for !extensions.Empty() {
		var kind uint16
		var body, list cryptobyte.String
		if !extensions.ReadUint16(&kind) || !extensions.ReadUint16LengthPrefixed(&body) {
			return nil
		}
		if kind != 14 || !body.ReadUint16LengthPrefixed(&list) {
			continue
		}
		var profiles []dtls.SRTPProtectionProfile
		for id := uint16(0); list.ReadUint16(&id); {
			profiles = append(profiles, dtls.SRTPProtectionProfile(id))
		}
		return profiles
	}
	return nil
}
