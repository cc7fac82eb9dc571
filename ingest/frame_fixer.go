package ingest

import (
	"time"

	"siaran/internal/codec"
)

const (
	markerFaults = 3                     // wrongly marked frames after which the markers are no longer trusted
	markerMemory = 300                   // frames without a fault after which earlier faults are forgotten
	maxFixDelay  = 50 * time.Millisecond // that a packet is held back
)

// frameFixer corrects what some encoders get wrong at the boundary of two video packets. It gets the packets of a layer
// in order, and holds one back only when the next one decides what it must say:
//
//   - When the marker is set inside frames, or missing at their ends, browsers show nothing (RFC 6184 section 5.1 wants
//     it on the last packet of a frame). Once an encoder is known to do so, the timestamps decide where frames end.
//   - When a packet of AV1 ends with an OBU but its temporal unit continues, see [codec.JoinAV1].
type frameFixer struct {
	av1 bool

	last  packet // the newest; its payload is kept only while it is held
	begun bool
	held  bool

	wrong       bool // the markers are not trusted
	faults      int
	lastFault   int64 // timestamp of the last frame with a fault
	framesSince int   // since then
}

// put takes the next packet, and emits those that need not wait.
func (f *frameFixer) put(p packet, emit func(packet)) {
	if len(p.payload) == 0 { // padding says nothing about frames
		f.flush(emit)
		emit(p)
		return
	}
	if f.begun {
		same := p.timestamp == f.last.timestamp
		follows := p.seq == f.last.seq+1
		if follows {
			f.checkMarker(same)
		}
		if f.held {
			out := f.last
			if f.wrong {
				out.marker = !same
			}
			if f.av1 && same && follows {
				joinUnits(&out, &p)
			}
			emit(out)
		}
	}
	f.begun, f.held, f.last = true, f.wrong || f.av1 && !p.marker && codec.AV1EndsUnit(p.payload), p
	if !f.held {
		f.last.payload = nil
		emit(p)
	}
}

// joinUnits makes two packets meet within an OBU, and keeps the payloads of those that are described: a viewer who
// takes descriptors gets them as they came.
func joinUnits(first, second *packet) {
	a, b := codec.JoinAV1(first.payload, second.payload)
	if len(b) != len(second.payload) {
		first.apart, second.apart = first.asSent(), second.payload
	}
	first.payload, second.payload = a, b
}

// asSent is the payload as it came.
func (p *packet) asSent() []byte {
	if p.apart != nil {
		return p.apart
	}
	return p.payload
}

// checkMarker checks the marker of the last packet; same says whether the next packet continues its frame.
func (f *frameFixer) checkMarker(same bool) {
	if !same {
		f.framesSince++
	}
	if f.wrong || f.last.marker != same || f.faults > 0 && f.lastFault == f.last.timestamp {
		return
	}
	if f.framesSince > markerMemory {
		f.faults = 0
	}
	f.faults, f.lastFault, f.framesSince = f.faults+1, f.last.timestamp, 0
	f.wrong = f.faults >= markerFaults
}

// flushStale emits a packet that has been held for so long that it must be the last of its frame.
func (f *frameFixer) flushStale(now time.Time, emit func(packet)) {
	if f.held && now.Sub(f.last.arrival) > maxFixDelay {
		f.last.marker = f.last.marker || f.wrong
		f.flush(emit)
	}
}

func (f *frameFixer) flush(emit func(packet)) {
	if f.held {
		f.held = false
		emit(f.last)
		f.last.payload = nil
	}
}
