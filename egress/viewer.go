package egress

import (
	"time"

	"github.com/pion/rtcp"

	"siaran"
)

// reportInterval is how often a viewer gets sender reports: often enough for lips to be in step soon.
const reportInterval = time.Second

// cname is the canonical name of all that is sent (RFC 3550 section 6.5.1), audio and video alike.
const cname = "siaran"

// viewer is a connected viewer as its worker sees it; only the worker touches it.
type viewer struct {
	link       *link
	tracks     []*track
	nextReport time.Time
	lost       func() // called, without waiting, when consent has run out
	gone       bool   // nothing is to be done for it any more
}

func newViewer(l *link, plans []plan, lost func()) *viewer {
	v := &viewer{link: l, lost: lost}
	for _, p := range plans {
		t := &track{plan: p, layer: p.Layers[0], cursor: -1, rtxSeq: int64(random32() >> 17)}
		t.seq.next = int64(random32() >> 17) // below 2^15, so that the first wrap is told from a late packet
		t.time.offset = int64(random32())
		if p.RTXPayloadType == 0 {
			t.past = newPast(p.Kind)
		}
		v.tracks = append(v.tracks, t)
	}
	return v
}

// advance sends what is new. It returns true while more waits for a pacer.
func (v *viewer) advance(w *worker, now time.Time) (paced bool) {
	if v.gone {
		return false
	}
	for _, t := range v.tracks {
		if t.advance(w, v.link, now) {
			paced = true
		}
	}
	return paced
}

// tick does what time alone brings.
func (v *viewer) tick(w *worker, now time.Time) {
	if v.gone {
		return
	}
	if !v.link.consented(now) {
		v.gone = true
		v.lost()
		return
	}
	for _, t := range v.tracks {
		t.tick(w, now)
	}
	if !now.Before(v.nextReport) && v.sendReports(now) {
		v.nextReport = now.Add(reportInterval)
	}
}

// sendReports sends a compound packet with a sender report for each track that has begun
// (RFC 3550 section 6.4.1). False means that there was nothing to report yet.
func (v *viewer) sendReports(now time.Time) bool {
	var compound []rtcp.Packet
	var chunks []rtcp.SourceDescriptionChunk
	for _, t := range v.tracks {
		clock, ok := t.layer.Clock()
		if !ok || t.packets == 0 {
			continue
		}
		compound = append(compound, &rtcp.SenderReport{
			SSRC: t.SSRC, NTPTime: ntp(now), RTPTime: uint32(clock.TimestampAt(now, t.ClockRate) + t.time.offset),
			PacketCount: t.packets, OctetCount: t.octets,
		})
		chunks = append(chunks, rtcp.SourceDescriptionChunk{
			Source: t.SSRC, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: cname}},
		})
	}
	if len(compound) == 0 {
		return false
	}
	return v.link.sendRTCP(append(compound, &rtcp.SourceDescription{Chunks: chunks})) == nil
}

// goodbye ends the viewer's streams (RFC 3550 section 6.6), if it still wants to hear from us.
func (v *viewer) goodbye(now time.Time) {
	if !v.link.consented(now) {
		return
	}
	var sources []uint32
	for _, t := range v.tracks {
		sources = append(sources, t.SSRC)
	}
	_ = v.link.sendRTCP([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: sources[0]}, &rtcp.Goodbye{Sources: sources}})
}

// roundTrip is what a report block tells of the path (RFC 3550 section 6.4.1), 0 when nothing that can be true.
func roundTrip(r rtcp.ReceptionReport, now time.Time) time.Duration {
	if r.LastSenderReport == 0 {
		return 0
	}
	units := int32(uint32(ntp(now)>>16) - r.LastSenderReport - r.Delay) // 1/65536 s
	if units < 0 || units > 5<<16 {
		return 0
	}
	return time.Duration(units) * time.Second >> 16
}

// ntp is a time as RTCP writes it (RFC 3550 section 4).
func ntp(t time.Time) uint64 {
	const from1900 = 2_208_988_800 // seconds until 1970
	return uint64(t.Unix()+from1900)<<32 | uint64(t.Nanosecond())<<32/1_000_000_000
}

// handleRTCP takes an SRTCP datagram of the viewer. That it reports is consent as good as a check: only the viewer can seal it, and it
// cannot be replayed. Viewers on pion make no checks for as long as they report.
func (v *viewer) handleRTCP(w *worker, sealed []byte, now time.Time) {
	plain, err := v.link.in.DecryptRTCP(nil, sealed, nil)
	if err != nil {
		w.stats.refused.Add(1)
		return
	}
	v.link.lastCheck.Store(now.UnixNano())
	v.handleCompound(w, plain, now)
}

// handleCompound takes the packets of a decrypted compound (RFC 3550 section 6.1).
func (v *viewer) handleCompound(w *worker, plain []byte, now time.Time) {
	for len(plain) >= 4 {
		var h rtcp.Header
		if h.Unmarshal(plain) != nil {
			return
		}
		size := (int(h.Length) + 1) * 4
		if size > len(plain) {
			return
		}
		v.handlePart(w, h, plain[:size], now)
		plain = plain[size:]
	}
}

// handlePart takes one packet of a compound. Kinds that are not asked for here are not even parsed.
func (v *viewer) handlePart(w *worker, h rtcp.Header, b []byte, now time.Time) {
	switch {
	case h.Type == rtcp.TypeReceiverReport:
		var report rtcp.ReceiverReport
		if report.Unmarshal(b) != nil {
			return
		}
		for _, r := range report.Reports {
			if t := v.track(r.SSRC); t != nil && t.Kind == siaran.KindVideo {
				t.thin.report(r.FractionLost)
				t.roundTrip = roundTrip(r, now)
			}
		}
	case h.Type == rtcp.TypeTransportSpecificFeedback && h.Count == rtcp.FormatTLN:
		var nack rtcp.TransportLayerNack
		if nack.Unmarshal(b) != nil {
			return
		}
		if t := v.track(nack.MediaSSRC); t != nil {
			for i := range nack.Nacks {
				nack.Nacks[i].Range(func(seq uint16) bool {
					t.resend(w, v.link, seq, now)
					return true
				})
			}
		}
	case h.Type == rtcp.TypePayloadSpecificFeedback && h.Count == rtcp.FormatPLI:
		var pli rtcp.PictureLossIndication
		if pli.Unmarshal(b) == nil {
			v.wantKeyframe(pli.MediaSSRC, now)
		}
	case h.Type == rtcp.TypePayloadSpecificFeedback && h.Count == rtcp.FormatFIR:
		var fir rtcp.FullIntraRequest
		if fir.Unmarshal(b) != nil {
			return
		}
		for _, e := range fir.FIR {
			v.wantKeyframe(e.SSRC, now)
		}
	}
}

func (v *viewer) wantKeyframe(ssrc uint32, now time.Time) {
	if t := v.track(ssrc); t != nil && t.Kind == siaran.KindVideo {
		t.wantKeyframe(now)
	}
}

func (v *viewer) track(ssrc uint32) *track {
	for _, t := range v.tracks {
		if t.SSRC == ssrc {
			return t
		}
	}
	return nil
}
