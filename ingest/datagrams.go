package ingest

import (
	"slices"

	"github.com/pion/rtcp"
)

const maxReport = 1100 // bytes of RTCP in a datagram

// datagrams groups RTCP packets into datagrams. Feedback about an SSRC whose section offers a=rtcp-rsize goes alone
// (RFC 5506 section 4.1), because some broadcasters read only the first packet of a datagram, or accept a NACK only
// when it is the only one. All other feedback follows a report (RFC 3550 section 6.1).
func (r *receiver) datagrams(packets []rtcp.Packet) (list [][]rtcp.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var compound []rtcp.Packet
	size := 0
	for _, p := range packets {
		if r.goesAlone(p) {
			list = append(list, []rtcp.Packet{p})
			continue
		}
		if compound != nil && size+p.MarshalSize() > maxReport {
			list = append(list, compound)
			compound, size = nil, 0
		}
		if _, report := p.(*rtcp.ReceiverReport); compound == nil && !report {
			compound = []rtcp.Packet{&rtcp.ReceiverReport{SSRC: r.ssrc}, r.description()}
			size = compound[0].MarshalSize() + compound[1].MarshalSize()
		}
		compound = append(compound, p)
		size += p.MarshalSize()
	}
	if compound != nil {
		list = append(list, compound)
	}
	return list
}

// goesAlone reports whether a packet is feedback, and all SSRCs that it is about allow feedback without a report.
func (r *receiver) goesAlone(p rtcp.Packet) bool {
	switch p.(type) {
	case *rtcp.ReceiverReport, *rtcp.SourceDescription:
		return false
	}
	about := p.DestinationSSRC()
	return len(about) > 0 && !slices.ContainsFunc(about, func(ssrc uint32) bool {
		s := r.demux.sources[ssrc]
		return s == nil || !s.layer.choice.section.RTCPReduced
	})
}
