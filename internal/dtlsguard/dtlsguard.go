// Package dtlsguard stands before a DTLS 1.2 library (RFC 6347) and decides which datagrams it gets to see.
// Until a handshake has ended nothing in it is authenticated, and a library keeps what it is sent: without a
// bound, fragments of messages that never become whole fill its memory, and searching them takes its time.
package dtlsguard

import (
	"encoding/binary"
	"errors"
)

// What one handshake may bring. A browser's takes fewer than 20 datagrams and 6 KiB, with losses.
const (
	MaxDatagrams = 64
	MaxBytes     = 32 << 10
	MaxFragments = 128      // handshake messages, or parts of them, that are not encrypted
	MaxMessage   = 16 << 10 // bytes of a whole handshake message
	MaxNumber    = 16       // message_seq
)

var (
	// ErrMalformed is for a datagram that no handshake is made of. Its sender may be anybody, so it is to be dropped.
	ErrMalformed = errors.New("dtlsguard: not a datagram of a handshake")
	// ErrSpent is for a datagram beyond what a handshake may bring.
	ErrSpent = errors.New("dtlsguard: the handshake is too long")
)

const (
	recordHeader  = 13 // RFC 6347 section 4.1
	messageHeader = 12 // RFC 6347 section 4.2.2

	typeChangeCipherSpec = 20 // content types (RFC 5246 section 6.2.1)
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
)

// Budget is what is left of one handshake's. The zero value is that of a new one. It may not be used by several
// goroutines at the same time.
type Budget struct {
	// PartEndsRecord is for pion/dtls v2. When that looks for the next message in a record, it takes every
	// fragment for a whole message, so it would read headers where there are none. With this set, nothing may
	// stand behind a part of a message.
	PartEndsRecord bool

	finished                    bool
	datagrams, bytes, fragments int
}

// Finish says that the handshake has succeeded. From then on encrypted records are not counted, since the library
// authenticates them. What repeats the handshake's last flight is still admitted within the budget.
func (b *Budget) Finish() { b.finished = true }

// Admit reports whether the library may see a datagram: nil, ErrMalformed or ErrSpent. It is counted when it may.
func (b *Budget) Admit(datagram []byte) error {
	fragments, inClear, err := b.read(datagram)
	if err != nil {
		return err
	}
	if b.finished && !inClear {
		return nil
	}
	if b.datagrams >= MaxDatagrams || b.bytes+len(datagram) > MaxBytes || b.fragments+fragments > MaxFragments {
		return ErrSpent
	}
	b.datagrams++
	b.bytes += len(datagram)
	b.fragments += fragments
	return nil
}

// read goes through all records. It returns the number of handshake messages and parts of them that are in the clear,
// and whether any record is.
func (b *Budget) read(data []byte) (fragments int, inClear bool, err error) {
	if len(data) == 0 {
		return 0, false, ErrMalformed
	}
	for len(data) > 0 {
		if len(data) <= recordHeader {
			return 0, false, ErrMalformed
		}
		kind, epoch := data[0], binary.BigEndian.Uint16(data[3:])
		end := recordHeader + int(binary.BigEndian.Uint16(data[11:]))
		if end == recordHeader || end > len(data) || !isVersion(data[1], data[2]) ||
			kind < typeChangeCipherSpec || kind > typeApplicationData {
			return 0, false, ErrMalformed
		}
		content := data[recordHeader:end]
		data = data[end:]
		switch epoch {
		case 0:
			n, ok := b.plain(kind, content)
			if !ok {
				return 0, false, ErrMalformed
			}
			fragments += n
			inClear = true
		case 1: // encrypted
		default: // there is no second handshake on a connection
			return 0, false, ErrMalformed
		}
	}
	return fragments, inClear, nil
}

// isVersion reports whether a record may say so: DTLS 1.0, as first flights do, or 1.2.
func isVersion(major, minor byte) bool { return major == 0xfe && (minor == 0xff || minor == 0xfd) }

// plain reads what a record in the clear holds: the number of handshake messages and parts of them.
func (b *Budget) plain(kind byte, content []byte) (fragments int, ok bool) {
	switch kind {
	case typeChangeCipherSpec:
		return 0, len(content) == 1 && content[0] == 1
	case typeHandshake:
		return b.messages(content)
	}
	// Application data is never in the clear. An alert may be, but it would end the connection, whoever has sent it. That
	// a peer has given up is noticed by its silence.
	return 0, false
}

// messages reads a handshake record. There may be several messages in it.
func (b *Budget) messages(content []byte) (count int, ok bool) {
	for ; len(content) > 0; count++ {
		if len(content) < messageHeader {
			return 0, false
		}
		total, number := uint24(content[1:]), binary.BigEndian.Uint16(content[4:])
		offset, length := uint24(content[6:]), uint24(content[9:])
		end := messageHeader + length
		if total > MaxMessage || number > MaxNumber || offset+length > total || end > len(content) {
			return 0, false
		}
		if length == 0 && total > 0 {
			return 0, false
		}
		if b.PartEndsRecord && length < total && end < len(content) {
			return 0, false
		}
		content = content[end:]
	}
	return count, count > 0
}

func uint24(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
