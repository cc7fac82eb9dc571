package turn

import (
	"encoding/binary"

	"github.com/pion/stun"
)

const (
	maxDatagram   = 2048 // bytes of anything that is taken; requests are far shorter, media is cut to 1200 or so
	stunHeader    = 20
	channelHeader = 4
	firstChannel  = 0x4000 // RFC 8656 section 12
	lastChannel   = 0x4fff
)

// frameSize is how long the message is that begins a stream, from its first four bytes (RFC 8656 section 12.5, RFC 8489
// section 6.2.2), padding included; 0 when there is none, or one longer than anything that is taken.
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

// channelData takes a ChannelData message apart; its padding may be missing.
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

// appendChannelData writes a ChannelData message. Streams want it padded.
func appendChannelData(dst []byte, number uint16, data []byte, pad bool) []byte {
	dst = binary.BigEndian.AppendUint16(dst, number)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(data)))
	dst = append(dst, data...)
	if pad {
		dst = append(dst, make([]byte, padded(len(data))-len(data))...)
	}
	return dst
}

// channelOf reads the number that a client wants for a channel.
func channelOf(m *stun.Message) (number uint16, ok bool) {
	v, err := m.Get(stun.AttrChannelNumber)
	if err != nil || len(v) != 4 {
		return 0, false
	}
	number = binary.BigEndian.Uint16(v)
	return number, number >= firstChannel && number <= lastChannel
}

// addressesWhole tells whether each address in a message can be one by its length. stun reads the family of shorter ones from
// beyond their end, and panics where the message ends there.
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

// indication is the part of Data indications of one peer that is always the same: header and XOR-PEER-ADDRESS.
func indication(peer stun.Setter) []byte {
	m, err := stun.Build(stun.NewType(stun.MethodData, stun.ClassIndication), stun.TransactionID, peer)
	if err != nil {
		return nil // an address that is none
	}
	return m.Raw
}

// appendIndication writes a Data indication (RFC 8656 section 11.4) after what indication has made.
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
