package ingest

import (
	"strconv"
	"strings"

	"github.com/pion/rtp"

	"siaran"
	"siaran/internal/sdp"
)

// demux finds the layer that a packet belongs to. What it learns from one packet of an SSRC applies to all later ones.
type demux struct {
	layers   []*layer
	sections []demuxSection
	sources  map[uint32]*rtpSource
	repairs  map[uint32]uint32 // SSRCs of retransmissions to those of originals, as declared (a=ssrc-group:FID)
	declared map[uint32]int    // SSRCs to indices in sections
}

type demuxSection struct {
	choice                *choice
	mid                   string
	midID, ridID, rridID  uint8
	layers                []*layer
	payloadType, repairPT uint8
}

func newDemux(offer *sdp.Offer, chosen []choice, publication *siaran.Publication) demux {
	d := demux{sources: make(map[uint32]*rtpSource), repairs: make(map[uint32]uint32), declared: make(map[uint32]int)}
	for i := range chosen {
		c := &chosen[i]
		s := demuxSection{
			choice: c, mid: c.section.Mid,
			midID: c.extension(uriMid), ridID: c.extension(uriRID), rridID: c.extension(uriRepairedRID),
			payloadType: c.codec.PayloadType, repairPT: c.codec.RTX,
		}
		rids := c.spec().RIDs
		if len(rids) == 0 {
			rids = []string{""}
		}
		for _, rid := range rids {
			if w := publication.Writer(c.section.Kind, rid); w != nil {
				l := newLayer(c, rid, w)
				s.layers = append(s.layers, l)
				d.layers = append(d.layers, l)
			}
		}
		d.sections = append(d.sections, s)
		for _, ssrc := range c.section.SSRCs {
			d.declared[ssrc] = i
		}
		d.readGroups(offer, c.section.Index)
	}
	return d
}

// readGroups reads which SSRC carries the retransmissions of which (RFC 5576 section 4.2, RFC 4588 section 8.8).
func (d *demux) readGroups(offer *sdp.Offer, index int) {
	for _, a := range offer.Description.MediaDescriptions[index].Attributes {
		fields := strings.Fields(a.Value)
		if a.Key != "ssrc-group" || len(fields) != 3 || fields[0] != "FID" || len(d.repairs) >= maxSSRCs {
			continue
		}
		original, err1 := strconv.ParseUint(fields[1], 10, 32)
		repair, err2 := strconv.ParseUint(fields[2], 10, 32)
		if err1 == nil && err2 == nil {
			d.repairs[uint32(repair)] = uint32(original)
		}
	}
}

// find returns the state of a packet's SSRC, nil when it belongs to no layer.
func (d *demux) find(h *rtp.Header) *rtpSource {
	if s := d.sources[h.SSRC]; s != nil {
		return s
	}
	if h.SSRC == 0 {
		return nil
	}
	section := d.section(h)
	if section == nil || len(section.layers) == 0 {
		return nil
	}
	repair := section.repairPT != 0 && h.PayloadType == section.repairPT
	if !repair && h.PayloadType != section.payloadType {
		return nil
	}
	l := d.layer(section, h, repair)
	if l == nil {
		return nil
	}
	if len(d.sources) >= maxSSRCs {
		d.forget()
	}
	s := &rtpSource{ssrc: h.SSRC, layer: l, repair: repair, jumped: -1}
	d.sources[h.SSRC] = s
	return s
}

// forget makes room: of the SSRCs that feed no layer, the one that has been silent for longest goes.
func (d *demux) forget() {
	var oldest *rtpSource
	for _, s := range d.sources {
		if s.layer.current != s && (oldest == nil || s.heard.Before(oldest.heard)) {
			oldest = s
		}
	}
	if oldest != nil {
		delete(d.sources, oldest.ssrc)
	}
}

// section finds the section of a packet by mid, else by declared SSRC, else by payload type (RFC 9143 section 9.2).
func (d *demux) section(h *rtp.Header) *demuxSection {
	for i := range d.sections {
		s := &d.sections[i]
		if mid := extension(h, s.midID); mid != "" && mid == s.mid {
			return s
		}
	}
	if i, there := d.declared[h.SSRC]; there {
		return &d.sections[i]
	}
	for i := range d.sections {
		s := &d.sections[i]
		if h.PayloadType == s.payloadType || s.repairPT != 0 && h.PayloadType == s.repairPT {
			return s
		}
	}
	return nil
}

// layer finds the layer of a packet by rid; for a single layer the section is enough.
func (d *demux) layer(s *demuxSection, h *rtp.Header, repair bool) *layer {
	rid := extension(h, s.ridID)
	if repair {
		if repaired := extension(h, s.rridID); repaired != "" {
			rid = repaired
		}
	}
	if rid != "" {
		for _, l := range s.layers {
			if l.rid == rid {
				return l
			}
		}
		return nil
	}
	if original, there := d.repairs[h.SSRC]; there && repair {
		if o := d.sources[original]; o != nil {
			return o.layer
		}
	}
	if len(s.layers) == 1 {
		return s.layers[0]
	}
	return nil
}

func extension(h *rtp.Header, id uint8) string {
	if id == 0 {
		return ""
	}
	return string(h.GetExtension(id))
}
