package egress

import (
	"encoding/binary"
	"time"

	"siaran"
	"siaran/internal/bwe"
)

const (
	// While probes are being sent, the worker returns to a viewer after a tick, for this long after the last one.
	probeFollows = 50 * time.Millisecond
	mostProbes   = 32  // packets at once
	probePadding = 255 // bytes; the most that a packet can have (RFC 3550 section 5.1)
)

// watchPath prepares the estimate of what the viewer's path carries, if the video has something to choose. All packets
// with a transport-wide number count; if there are none, all packets do.
func (v *viewer) watchPath() {
	var sound, video *track
	numbered := false
	for _, t := range v.tracks {
		if t.Kind == siaran.KindVideo {
			video = t
		} else {
			sound = t
		}
		numbered = numbered || t.NumberID != 0
	}
	if video == nil || !video.Choice {
		return
	}
	v.estimate = bwe.New(time.Now())
	for _, t := range v.tracks {
		if !numbered || t.NumberID != 0 {
			t.estimate = v.estimate
		}
	}
	video.sel = newSelector(video, sound, v.estimate)
}

// lossWindow takes the share of video packets that were lost in a window, in 256ths.
func (v *viewer) lossWindow(t *track, share int, now time.Time) {
	if v.estimate != nil {
		v.estimate.Loss(share, t.roundTrip, now)
		return
	}
	t.gate.decide(share, t.roundTrip)
}

// probe sends what the estimator needs to find out whether the path carries more. It reports whether more follows soon.
func (v *viewer) probe(w *worker, now time.Time) bool {
	for _, t := range v.tracks {
		if t.sel == nil || t.sel.probe == 0 || t.estimate == nil || t.RTXPayloadType == 0 || t.sent == 0 {
			continue
		}
		if bytes := v.estimate.Probe(now, t.sel.probe, t.sel.given.extent != wholeFrames); bytes > 0 {
			t.sendProbes(w, v.link, bytes, now)
			v.probed = now
		}
		return now.Sub(v.probed) < probeFollows
	}
	return false
}

// sendProbes sends about so many bytes: the newest packets once more by RTX, or padding if they are gone.
func (t *track) sendProbes(w *worker, l *link, bytes int, now time.Time) {
	out := t.seq.next
	for range mostProbes {
		out--
		p, how := t.recall(out)
		size := probePadding
		var err error
		if p != nil && len(p.Payload) <= extensionRoom {
			size = len(p.Payload)
			err = t.putRTX(w, l, out, p, &how, now)
		} else {
			err = t.putPadding(w, l, now)
		}
		if err != nil {
			w.stats.failed.Add(1)
			return
		}
		if bytes -= headerSize + 8 + size + packetOverhead; bytes <= 0 {
			return
		}
	}
}

// putPadding sends a packet that is padding alone, on the SSRC of repairs.
func (t *track) putPadding(w *worker, l *link, now time.Time) error {
	room := w.batch.Room()
	t.head(room, t.RTXPayloadType, t.RTXSSRC, t.rtxSeq, uint32(t.time.out), false)
	e := extensions{b: room}
	t.mark(&e, t.estimate.Sent(now, headerSize+8+probePadding+packetOverhead), now)
	e.finish()
	head := headerLength(room)
	t.rtxSeq++
	return l.send(w.batch, room, padded(room, room[head:head], probePadding), t.rtxSeq-1)
}

// mark writes a transport-wide number or the time of sending into a packet, if the viewer takes one of them.
func (t *track) mark(e *extensions, number uint16, now time.Time) {
	if t.NumberID != 0 {
		binary.BigEndian.PutUint16(e.add(t.NumberID, 2), number)
	} else if t.StampID != 0 {
		e.stamp(t.StampID, now)
	}
}
