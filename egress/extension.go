package egress

import (
	"encoding/binary"
	"slices"
	"time"

	"siaran/internal/sdp"
)

// uriStamp names the extension with the time of sending (draft-alvestrand-rmcat-remb-03, appendix A). Receivers that
// estimate by themselves send REMB only if they get it.
const uriStamp = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time"

const (
	extensionProfile = 0xbede // one-byte headers (RFC 8285 section 4.2)
	wideProfile      = 0x1000 // two-byte headers (section 4.3)
	narrowMost       = 16     // bytes in an element with a one-byte header
	extensionRoom    = 1200   // bytes of payload: larger packets get no extensions, as they might not fit the path
	// What a packet is longer than its header and payload: the authentication tag, UDP and IPv4.
	packetOverhead = 16 + 8 + 20
)

// extensions writes header extensions after the fixed header in b.
type extensions struct {
	b    []byte
	end  int  // 0 before the first element
	wide bool // an element is longer than one-byte headers can say
}

// add begins an element and returns where its data goes.
func (e *extensions) add(id uint8, size int) []byte {
	if e.end == 0 {
		e.end = headerSize + 4
	}
	at := e.end
	if e.wide {
		e.b[at], e.b[at+1] = id, byte(size)
		e.end += 2 + size
		return e.b[at+2 : e.end]
	}
	e.b[at] = id<<4 | byte(size-1)
	e.end += 1 + size
	return e.b[at+1 : e.end]
}

// stamp adds the time of sending: 6 bits of seconds, and 18 of their fraction.
func (e *extensions) stamp(id uint8, now time.Time) {
	b := e.add(id, 3)
	t := ntp(now) >> 14
	b[0], b[1], b[2] = byte(t>>16), byte(t>>8), byte(t)
}

// finish writes the header of the extensions.
func (e *extensions) finish() {
	if e.end == 0 {
		return
	}
	for e.end%4 != 0 {
		e.b[e.end] = 0
		e.end++
	}
	e.b[0] |= 1 << 4
	profile := uint16(extensionProfile)
	if e.wide {
		profile = wideProfile
	}
	binary.BigEndian.PutUint16(e.b[headerSize:], profile)
	binary.BigEndian.PutUint16(e.b[headerSize+2:], uint16((e.end-headerSize-4)/4))
}

// headerLength is the length of the header of a packet that we write, with its extensions.
func headerLength(b []byte) int {
	if b[0]&(1<<4) != 0 {
		return headerSize + 4 + 4*int(binary.BigEndian.Uint16(b[headerSize+2:]))
	}
	return headerSize
}

// offered is the extension as a viewer's section offers it; false if it cannot be used.
func offered(section *sdp.Section, uri string) (sdp.Extension, bool) {
	i := slices.IndexFunc(section.Extensions, func(e sdp.Extension) bool { return e.URI == uri })
	if i < 0 {
		return sdp.Extension{}, false
	}
	e := section.Extensions[i]
	usable := e.Direction == "" || e.Direction == sdp.SendRecv || e.Direction == sdp.RecvOnly
	return e, usable && e.ID >= 1 && e.ID <= 14
}
