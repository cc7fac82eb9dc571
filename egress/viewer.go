package egress

import (
	"sync/atomic"
	"time"

	"github.com/pion/rtcp"

	"siaran"
	"siaran/internal/bwe"
	"siaran/internal/monotonic"
)

// reportInterval is how often a viewer gets sender reports. It is short enough for lips to be in sync soon.
const reportInterval = time.Second

// cname is the canonical name of everything that is sent (RFC 3550 section 6.5.1), audio and video alike, in sender
// reports and in the answer (RFC 5576 section 6.1). Its length is a multiple of four, because aiortc 1.4 does not skip
// the padding of a chunk and so cannot read the next one.
const cname = "siaran-1"

// viewer is a connected viewer as its worker sees it; only the worker touches it.
type viewer struct {
	link       *link
	tracks     []*track
	nextReport time.Time
	lost       func(why error) // called when it cannot be served any more; does not wait
	gone       bool            // it is not served any more
	waiting    atomic.Int32    // its RTCP datagrams in the worker's inbox
	wishes     *wishes
	figures    *figures
	estimate   *bwe.Estimator                // of what its path carries; nil: there is nothing to choose
	probed     time.Time                     // when probes were last sent
	child      *child                        // what it says of its own viewers; nil: it is no server
	begun      bool                          // something has been sent
	reached    func(to stage, now time.Time) // nil once all stages are reached
}

func newViewer(l *link, plans []plan, lost func(error)) *viewer {
	v := &viewer{link: l, lost: lost, wishes: new(wishes), figures: new(figures)}
	for _, p := range plans {
		t := &track{plan: p, layer: p.Layers[0], cursor: -1, rtxSeq: int64(random32() >> 17)}
		t.seq.next = int64(random32() >> 17) // below 2^15, so that the first wrap is not taken for a late packet
		t.time.offset = int64(random32())
		if p.RTXPayloadType == 0 || p.Choice {
			t.log = newSentLog(p.Kind, p.RTXPayloadType != 0)
		}
		v.tracks = append(v.tracks, t)
	}
	v.watchPath()
	return v
}

// fail gives the viewer up after a panic.
func (v *viewer) fail() {
	v.gone = true
	v.lost(errPanic)
}

// advance sends what is new. It reports whether more waits for a pacer.
func (v *viewer) advance(w *worker, now time.Time) (paced bool) {
	if v.gone {
		return false
	}
	for _, t := range v.tracks {
		if t.advance(w, v.link, now) {
			paced = true
		}
	}
	if v.estimate != nil && v.probe(w, now) {
		paced = true
	}
	if v.reached != nil {
		v.mark()
	}
	return paced
}

// tick does what is due by time alone.
func (v *viewer) tick(w *worker, now time.Time) {
	if v.gone {
		return
	}
	v.link.attend(now)
	if !v.link.consented(now) {
		v.gone = true
		v.lost(errConsent)
		return
	}
	viewing := siaran.Viewing{Reason: siaran.ViewingSound}
	for _, t := range v.tracks {
		if t.Kind == siaran.KindVideo {
			if v.child == nil {
				t.choose(v.wishes.chosen())
			} else if !t.muted {
				t.layer.Need()
			}
			t.tick(w, now)
			viewing = t.viewing(now)
		}
	}
	v.wishes.say(viewing)
	v.figures.measure(v.tracks, now)
	if v.child != nil {
		v.child.tell(now)
	}
	if !now.Before(v.nextReport) && v.sendReports(now) {
		v.nextReport = now.Add(reportInterval)
	}
}

// sendReports sends a compound packet with a sender report for each track that has started (RFC 3550 section 6.4.1). It
// returns false if there was nothing to report yet.
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

// goodbye ends the viewer's tracks (RFC 3550 section 6.6), if it still consents to hear from us.
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

// roundTrip is the round trip by a report block (RFC 3550 section 6.4.1), or 0 if the block gives none that is
// plausible.
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

// ntp is a time in RTCP's format (RFC 3550 section 4), which does not jump when the clock is set.
func ntp(t time.Time) uint64 {
	const from1900 = 2_208_988_800 // seconds until 1970
	n := monotonic.Nanos(t)
	return uint64(n/1_000_000_000+from1900)<<32 | uint64(n%1_000_000_000)<<32/1_000_000_000
}

// handleCompound takes the packets of a genuine compound (RFC 3550 section 6.1).
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

// handlePart takes one packet of a compound. Types that are of no use here are not parsed.
func (v *viewer) handlePart(w *worker, h rtcp.Header, b []byte, now time.Time) {
	switch {
	case h.Type == rtcp.TypeReceiverReport:
		var report rtcp.ReceiverReport
		if report.Unmarshal(b) != nil {
			return
		}
		for _, r := range report.Reports {
			if t := v.track(r.SSRC); t != nil && t.Kind == siaran.KindVideo {
				t.roundTrip = roundTrip(r, now)
				w.stats.lost.Add(t.newlyLost(r.TotalLost))
				if share := t.gate.report(r, now); share >= 0 && v.child == nil {
					v.figures.report(share, t.roundTrip)
					t.hold.window(share, t.roundTrip)
					v.lossWindow(t, share, now)
				}
			}
		}
	case h.Type == rtcp.TypeApplicationDefined && v.child != nil:
		v.child.hear(b)
	case h.Type == rtcp.TypeTransportSpecificFeedback && h.Count == formatTMMBR && v.child != nil:
		v.limit(b)
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
	case h.Type == rtcp.TypeTransportSpecificFeedback && h.Count == rtcp.FormatTCC:
		if v.estimate != nil {
			_ = v.estimate.Feedback(b, now)
			for _, t := range v.tracks {
				if t.sel != nil {
					t.hears(w, now)
				}
			}
		}
	case h.Type == rtcp.TypePayloadSpecificFeedback && h.Count == rtcp.FormatREMB:
		var remb rtcp.ReceiverEstimatedMaximumBitrate
		if v.estimate != nil && remb.Unmarshal(b) == nil {
			v.estimate.REMB(uint64(max(remb.Bitrate, 0)), now)
		}
	case h.Type == rtcp.TypePayloadSpecificFeedback && h.Count == rtcp.FormatPLI:
		var pli rtcp.PictureLossIndication
		if pli.Unmarshal(b) == nil {
			v.wantKeyframe(w, pli.MediaSSRC, now)
		}
	case h.Type == rtcp.TypePayloadSpecificFeedback && h.Count == rtcp.FormatFIR:
		var fir rtcp.FullIntraRequest
		if fir.Unmarshal(b) != nil {
			return
		}
		for _, e := range fir.FIR {
			v.wantKeyframe(w, e.SSRC, now)
		}
	}
}

func (v *viewer) wantKeyframe(w *worker, ssrc uint32, now time.Time) {
	if t := v.track(ssrc); t != nil && t.Kind == siaran.KindVideo {
		t.wantKeyframe(w, now)
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
