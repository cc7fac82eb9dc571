package ingest

import (
	"time"

	"github.com/pion/rtcp"
)

const (
	reportInterval   = time.Second
	feedbackInterval = 100 * time.Millisecond // of transport-wide congestion control
	maxReports       = 31                     // in one packet (RFC 3550 section 6.4.2)
	cname            = "siaran-media"         // a multiple of 4 bytes: aiortc does not skip an SDES chunk's padding
	maxClockLead     = 30 * time.Second       // of a sender report, ahead of the packets that it is about
)

// feedbackTimes are the times at which the session's goroutine last sent each kind of feedback.
type feedbackTimes struct {
	report, feedback time.Time
}

// dueFeedback returns the feedback to be sent now. waiting reports whether packets are missing, so that the next call
// is due soon. It also gives up on packets that have been missing for too long.
func (r *receiver) dueFeedback(now time.Time, times *feedbackTimes) (out []rtcp.Packet, waiting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.demux.layers {
		l.expire(now, r.rtt)
		l.requestKeyframeAfterLoss()
		waiting = waiting || len(l.order.gaps) > 0
		if !l.choice.has("nack") || l.current == nil {
			continue
		}
		r.seqs = l.order.ask(r.seqs[:0], now, askAfter, retryInterval(r.rtt), maxAttempts)
		if len(r.seqs) > 0 {
			l.counts.Asked += uint64(len(r.seqs))
			l.unanswered += len(r.seqs)
			out = append(out, r.nack(l.current))
		}
	}
	if r.feedback != nil && now.Sub(times.feedback) >= feedbackInterval {
		times.feedback = now
		out = append(out, r.feedback.BuildFeedbackPacket()...)
	}
	if now.Sub(times.report) >= reportInterval && !r.first.IsZero() {
		times.report = now
		return append(r.reports(now), out...), waiting
	}
	return out, waiting
}

// nack requests the packets in r.seqs.
func (r *receiver) nack(s *rtpSource) rtcp.Packet {
	list := make([]uint16, len(r.seqs))
	for i, seq := range r.seqs {
		list[i] = uint16(seq - s.seqOffset)
	}
	return &rtcp.TransportLayerNack{SenderSSRC: r.ssrc, MediaSSRC: s.ssrc, Nacks: rtcp.NackPairsFromSequenceNumbers(list)}
}

func (r *receiver) description() rtcp.Packet {
	return &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{
		Source: r.ssrc, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: cname}},
	}}}
}

// reports returns a receiver report on every active SSRC.
func (r *receiver) reports(now time.Time) []rtcp.Packet {
	report := &rtcp.ReceiverReport{SSRC: r.ssrc}
	for _, s := range r.demux.sources {
		if !s.retired && s.reception.started && len(report.Reports) < maxReports {
			report.Reports = append(report.Reports, s.report(now))
		}
	}
	return []rtcp.Packet{report, r.description()}
}

// report returns a report block (RFC 3550 section 6.4.1 and appendix A.3).
func (s *rtpSource) report(now time.Time) rtcp.ReceptionReport {
	c := &s.reception
	expected := s.highest - c.base + 1
	lost := min(max(expected-c.received, 0), 1<<23-1)
	span, got := expected-c.expectedPrior, c.received-c.receivedPrior
	c.expectedPrior, c.receivedPrior = expected, c.received
	fraction := uint8(0)
	if span > 0 && got < span {
		fraction = uint8(min((max(span-got, 0)<<8)/span, 255))
	}
	block := rtcp.ReceptionReport{
		SSRC: s.ssrc, FractionLost: fraction, TotalLost: uint32(lost),
		LastSequenceNumber: uint32(s.highest), Jitter: uint32(c.jitter),
	}
	if !s.senderClock.at.IsZero() {
		block.LastSenderReport = uint32(s.senderClock.ntp >> 16)
		block.Delay = uint32(now.Sub(s.senderClock.at).Seconds() * 65536)
	}
	return block
}

// dueKeyframeRequests returns the requests for key frames to be sent now: those of viewers, those for layers that have
// not begun, since nothing is shown before the first key frame, and one to find out whether the broadcaster answers at
// all. Each layer gets at most one per keyframeWait; pending reports whether a request of viewers has to wait for that.
func (r *receiver) dueKeyframeRequests(now time.Time, asked bool) (out []rtcp.Packet, pending bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.demux.layers {
		if !l.video() || l.current == nil || l.demand.paused {
			continue
		}
		untried := l.counts.KeyframeRequests == 0 && now.Sub(l.counts.last) < silence &&
			l.counts.sinceKeyframe(now) > maxKeyframeInterval*time.Second
		waiting := !l.hadKeyframe || untried
		if !asked && !waiting {
			continue
		}
		if now.Sub(l.asked) < keyframeWait {
			pending = pending || asked
			continue
		}
		if !l.writer.KeyframeWanted() && !waiting {
			continue
		}
		switch {
		case l.choice.has("nack pli"):
			out = append(out, &rtcp.PictureLossIndication{SenderSSRC: r.ssrc, MediaSSRC: l.current.ssrc})
		case l.choice.has("ccm fir"):
			l.counts.fullIntra++
			out = append(out, &rtcp.FullIntraRequest{
				SenderSSRC: r.ssrc, MediaSSRC: l.current.ssrc,
				FIR: []rtcp.FIREntry{{SSRC: l.current.ssrc, SequenceNumber: l.counts.fullIntra}},
			})
		default:
			continue
		}
		l.asked, l.heard, l.answered = now, false, false
		l.counts.KeyframeRequests++
	}
	return out, pending
}

// rtcp handles a decrypted compound packet. pion delivers it once for each SSRC that it names.
func (r *receiver) rtcp(data []byte, now time.Time) {
	packets, err := rtcp.Unmarshal(data)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range packets {
		switch p := p.(type) {
		case *rtcp.SenderReport:
			r.senderReport(p, now)
		case *rtcp.Goodbye:
			r.goodbye(p)
		}
	}
}

// goodbye notes who sends no more (RFC 3550 section 6.6).
func (r *receiver) goodbye(bye *rtcp.Goodbye) {
	for _, ssrc := range bye.Sources {
		if s := r.demux.sources[ssrc]; s != nil {
			s.gone = true
			poke(r.wake)
		}
	}
}

// left reports whether all that feeds the layers has said that it sends no more.
func (r *receiver) left() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	feeds, gone := 0, 0
	for _, l := range r.demux.layers {
		if l.current != nil {
			feeds++
			if l.current.gone {
				gone++
			}
		}
	}
	return feeds > 0 && feeds == gone
}

func (r *receiver) senderReport(sr *rtcp.SenderReport, now time.Time) {
	s := r.demux.sources[sr.SSRC]
	if s == nil || s.retired || sr.NTPTime == 0 || sr.NTPTime == s.senderClock.ntp {
		return
	}
	s.senderClock = senderClock{ntp: sr.NTPTime, at: now}
	if s.layer.demand.paused { // for hours, perhaps, in which timestamps wrap
		s.advance(uint16(s.highest), sr.RTPTime)
	}
	if s.repair || !s.reception.started {
		return
	}
	_, timestamp := s.extend(uint16(s.highest), sr.RTPTime)
	lead := timestamp - s.latest
	if most := units(maxClockLead, s.layer.choice.codec.ClockRate); lead > most || lead < -most {
		return // it is about another clock
	}
	s.layer.writer.SetClock(r.clock.wall(sr.NTPTime, now), timestamp+s.timeOffset)
}
