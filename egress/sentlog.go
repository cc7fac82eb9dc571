package egress

import "siaran"

// How many packets back a viewer can be sent packets again where a log says how they went out; powers of two.
const (
	sentVideo  = 1 << 11
	sentLayers = 1 << 10 // of a track with layers, by RTX: nobody waits for a repair longer
	sentAudio  = 1 << 7
)

// sentLog remembers how the newest packets of an SSRC went out, by sequence number. It is kept for viewers without RTX
// and for tracks with layers.
//
// A packet that is sent again under its own number must be byte-identical: encrypting two different packets under one
// index would reveal the authentication key of AES-GCM (RFC 7714 section 5.3). The payload is still in the layer.
type sentLog []sentPacket

// sentPacket is how a packet of a layer goes out.
type sentPacket struct {
	index     uint32 // its lower half
	timestamp uint32
	in        uint32 // the lower half of the layer's number; of tracks with layers
	ids       pictureID
	number    uint16 // transport-wide
	layer     uint8  // its place among the track's; of tracks with layers
	spatial   uint8  // the highest layers that the viewer gets; where descriptors go out
	temporal  uint8
	pad       uint8
	numbered  bool
	marker    bool
}

func newSentLog(kind siaran.Kind, rtx bool) sentLog {
	switch {
	case kind == siaran.KindAudio:
		return make(sentLog, sentAudio)
	case rtx:
		return make(sentLog, sentLayers)
	default:
		return make(sentLog, sentVideo)
	}
}

// keep is for a packet that goes out under this index.
func (l sentLog) keep(index int64, p *sentPacket) {
	p.index = uint32(index)
	l[index&int64(len(l)-1)] = *p
}

func (l sentLog) find(index int64) (p sentPacket, known bool) {
	p = l[index&int64(len(l)-1)]
	return p, p.index == uint32(index)
}
