package ingest

import (
	"encoding/binary"
	"time"

	"github.com/pion/stun"

	"siaran/internal/dtlsguard"
	"siaran/internal/sdp"
)

const (
	maxSSRCs          = 64 // SSRCs of RTP that a session may use, in addition to those in its offer
	maxReportingSSRCs = 16 // SSRCs of RTCP, in addition to those of its RTP; a browser has one

	// A stranger who forges the broadcaster's address can use up all these places. One more of each kind is added at
	// this interval, so that SSRCs which the broadcaster adds later are not shut out for good.
	placeEvery   = time.Minute
	placesInTime = 192 // at most, of each
)

// filter decides which datagrams of a session reach pion. pion keeps state for each SSRC and each fragment of a
// handshake before it has checked that they come from the broadcaster. Its owner guards it.
type filter struct {
	began       time.Time
	declared    map[uint32]struct{} // in the offer: nothing else can take their places
	mediaSSRCs  map[uint32]struct{}
	reportSSRCs map[uint32]struct{}
	handshake   dtlsguard.Budget
	connected   bool
	spent       func() // called, perhaps more than once, when the handshake has more data than any handshake needs
}

// expect prepares for the datagrams of the broadcaster that sent the offer.
func (f *filter) expect(offer *sdp.Offer, spent func()) {
	f.began, f.spent = time.Now(), spent
	f.declared = make(map[uint32]struct{})
	f.mediaSSRCs, f.reportSSRCs = make(map[uint32]struct{}), make(map[uint32]struct{})
	f.handshake.PartEndsRecord = true // pion/webrtc v3 has pion/dtls v2
	for _, s := range offer.Sections {
		for _, ssrc := range s.SSRCs {
			if len(f.declared) < maxSSRCs {
				f.declared[ssrc] = struct{}{}
			}
		}
	}
}

// passes reports whether pion may see a datagram (RFC 7983, RFC 5761 section 4).
func (f *filter) passes(data []byte) bool {
	switch {
	case stun.IsMessage(data):
		return true
	case isRTP(data):
		ssrc := binary.BigEndian.Uint32(data[8:])
		return f.known(ssrc) || f.place(f.mediaSSRCs, maxSSRCs, ssrc)
	case isRTCP(data):
		ssrc := binary.BigEndian.Uint32(data[4:])
		return f.known(ssrc) || f.place(f.reportSSRCs, maxReportingSSRCs, ssrc)
	case len(data) > 0 && data[0] >= 20 && data[0] <= 63:
		return f.passesDTLS(data)
	}
	return false
}

// known reports whether an SSRC has a place for RTP, which covers its RTCP as well.
func (f *filter) known(ssrc uint32) bool {
	if _, declared := f.declared[ssrc]; declared {
		return true
	}
	_, known := f.mediaSSRCs[ssrc]
	return known
}

// place reports whether an SSRC has a place, and gives it one while there is room.
func (f *filter) place(among map[uint32]struct{}, room int, ssrc uint32) bool {
	if _, known := among[ssrc]; known {
		return true
	}
	if len(among) >= room && len(among) >= room+min(int(time.Since(f.began)/placeEvery), placesInTime) {
		return false
	}
	among[ssrc] = struct{}{}
	return true
}

// passesDTLS drops datagrams that are not part of a handshake, since anybody may have sent them. A handshake with too
// much data ends its session, but only before it is connected: otherwise a stranger could end it.
func (f *filter) passesDTLS(data []byte) bool {
	err := f.handshake.Admit(data)
	if err == dtlsguard.ErrSpent && !f.connected {
		f.spent()
	}
	return err == nil
}

// connects notes that the handshake has succeeded.
func (s *muxSession) connects() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.filter.secured()
}

func (f *filter) secured() {
	f.connected = true
	f.handshake.Finish()
}

// isRTP reports whether a datagram is RTP, not RTCP or anything else (RFC 7983, RFC 5761 section 4).
func isRTP(data []byte) bool {
	return len(data) >= 12 && data[0]>>6 == 2 && (data[1] < 192 || data[1] > 223)
}

func isRTCP(data []byte) bool {
	return len(data) >= 8 && data[0]>>6 == 2 && data[1] >= 192 && data[1] <= 223
}
