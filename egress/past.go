package egress

import "siaran"

// How far back a viewer without RTX can be sent packets again, powers of two.
const (
	pastVideo = 1 << 11
	pastAudio = 1 << 7
)

// past knows how the newest packets of an SSRC went out, by sequence number. One that is sent again under its own number has to
// be the same to the byte: two packets under one index would tell the key of AES-GCM (RFC 7714 section 5.3). The layer has the rest.
type past []outgoing

type outgoing struct {
	index     uint32 // its lower half
	timestamp uint32
	pad       uint8
}

func newPast(kind siaran.Kind) past {
	if kind == siaran.KindAudio {
		return make(past, pastAudio)
	}
	return make(past, pastVideo)
}

func (p past) keep(index, timestamp int64, pad int) {
	p[index&int64(len(p)-1)] = outgoing{uint32(index), uint32(timestamp), uint8(pad)}
}

func (p past) find(index int64) (timestamp int64, pad int, known bool) {
	o := p[index&int64(len(p)-1)]
	return int64(o.timestamp), int(o.pad), o.index == uint32(index)
}
