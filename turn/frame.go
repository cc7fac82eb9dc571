package turn

import (
	"encoding/binary"

	"github.com/pion/stun"
)

const (
	maxDatagram   = 2048 // bytes of the longest message accepted; requests and packets of media are shorter
	stunHeader    = 20
	channelHeader = 4
	firstChannel  = 0x4000 // RFC 8656 section 12
	lastChannel   = 0x4fff
)

// frameSize returns the length in bytes, padding included, of the message on a TCP connection that begins with these
// four bytes (RFC 8656 section 12.5, RFC 8489 section 6.2.2). It is 0 if they begin no message, or one that is too
// long.
func frameSize(header []byte) int {
	length := int(binary.BigEndian.Uint16(header[2:]))
	var size int
	switch number := binary.BigEndian.Uint16(header); {
	case number>>14 == 0 && length%4 == 0:
		size = stunHeader + length
	case number >= firstChannel && number <= lastChannel:
		size = channelHeader + padded(length)
	}
	if size > maxDatagram {
		return 0
	}
	return size
}

func padded(n int) int { return (n + 3) &^ 3 }

// channelData parses a ChannelData message. Its padding may be missing.
func channelData(b []byte) (number uint16, data []byte, ok bool) {
	if len(b) < channelHeader {
		return 0, nil, false
	}
	number = binary.BigEndian.Uint16(b)
	end := channelHeader + int(binary.BigEndian.Uint16(b[2:]))
	if number < firstChannel || number > lastChannel || end > len(b) {
		return 0, nil, false
	}
	return number, b[channelHeader:end], true
}

// appendChannelData writes a ChannelData message. On TCP it must be padded (RFC 8656 section 12.5).
func appendChannelData(dst []byte, number uint16, data []byte, pad bool) []byte {
	dst = binary.BigEndian.AppendUint16(dst, number)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	dst = append(dst, data...)
	if pad {
		dst = append(dst, make([]byte, padded(len(data))-len(data))...)
	}
	return dst
}

// channelOf reads the channel number that a client asks for.
func channelOf(m *stun.Message) (number uint16, ok bool) {
	v, err := m.Get(stun.AttrChannelNumber)
	if err != nil || len(v) != 4 {
		return 0, false
	}
	number = binary.BigEndian.Uint16(v)
	return number, number >= firstChannel && number <= lastChannel
}

// addressesWhole reports whether each address in a message has a possible length. pion/stun v0.6.1 reads the family
// of a shorter one from beyond its end (xoraddr.go, GetFromAs), and panics if the message ends there.
func addressesWhole(m *stun.Message) bool {
	for _, a := range m.Attributes {
		switch a.Type {
		case stun.AttrXORPeerAddress, stun.AttrXORRelayedAddress, stun.AttrXORMappedAddress, stun.AttrMappedAddress:
			if a.Length != 8 && a.Length != 20 {
				return false
			}
		}
	}
	return true
}

// cutTail removes the attributes after MESSAGE-INTEGRITY, which does not cover them: an attacker may have added them to
// a captured message (RFC 8489 section 14.5).
func cutTail(m *stun.Message) {
	end := stunHeader
	for i, a := range m.Attributes {
		end += 4 + padded(int(a.Length))
		if a.Type == stun.AttrMessageIntegrity {
			m.Attributes, m.Raw, m.Length = m.Attributes[:i+1], m.Raw[:end], uint32(end-stunHeader)
			m.WriteLength()
			return
		}
	}
}

// indication returns the constant part of a peer's Data indications: the header and XOR-PEER-ADDRESS.
func indication(peer stun.Setter) []byte {
	m, err := stun.Build(stun.NewType(stun.MethodData, stun.ClassIndication), stun.TransactionID, peer)
	if err != nil {
		return nil // not an address
	}
	return m.Raw
}

// appendIndication writes a Data indication (RFC 8656 section 11.4) that begins with what indication returned.
func appendIndication(dst, prefix, data []byte) []byte {
	start := len(dst)
	dst = append(dst, prefix...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(stun.AttrData))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	dst = append(dst, data...)
	dst = append(dst, make([]byte, padded(len(data))-len(data))...)
	binary.BigEndian.PutUint16(dst[start+2:], uint16(len(dst)-start-stunHeader))
	return dst
}
