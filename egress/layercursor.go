package egress

import (
	"time"

	"siaran"
)

const (
	maxPadding = 32      // most bytes added to a packet
	padWindow  = 1 << 11 // packets whose padding is remembered; a power of two
)

// layerCursor is how far one worker's viewers may go in a layer. Only the worker touches it.
type layerCursor struct {
	layer    *siaran.Layer
	viewers  int
	unfollow func()

	ready   int64     // viewers get the packets below it
	scanned int64     // the packets below it have been looked at
	since   time.Time // when the first packet of an incomplete frame arrived; zero: there is no such frame
	arrived time.Time // when the newest packet below ready did; zero: that has been measured

	runs bool             // packets of one size are sent in one go
	pads [padWindow]uint8 // of the newest packets below ready, by sequence number

	bytes uint64    // of the layer when its rate was last measured
	at    time.Time // when that was
	rate  int       // bytes a second, of late
	rates siaran.LayerRates
}

func follow(l *siaran.Layer, wake chan<- struct{}, runs bool) *layerCursor {
	f := &layerCursor{layer: l, runs: runs, unfollow: l.Follow(wake), bytes: l.Stats().Bytes, at: time.Now()}
	f.scanned = l.Tail()
	f.ready = f.scanned
	f.advance(f.at)
	f.arrived = time.Time{} // before anyone followed
	f.rates = l.Rates()
	first, last := l.Get(l.Tail()), l.Get(l.Head()-1)
	if first != nil && last != nil && last.Arrival.After(first.Arrival) {
		f.rate = rateBetween(l, first, last)
	}
	return f
}

// rateBetween estimates a layer's rate from what its ring holds, in bytes a second.
func rateBetween(l *siaran.Layer, first, last *siaran.Packet) int {
	bytes := 0
	for seq := first.Seq; seq < last.Seq; seq++ {
		if p := l.Get(seq); p != nil {
			bytes += len(p.Payload)
		}
	}
	return int(float64(bytes) / max(last.Arrival.Sub(first.Arrival), 100*time.Millisecond).Seconds())
}

// advance moves ready to the end of the newest complete frame, so that the frame is sent as one run. If the rest of a
// frame is late, it releases what has arrived. It returns when to look again, or zero if there is no need.
func (f *layerCursor) advance(now time.Time) (again time.Time) {
	head := f.layer.Head()
	if f.scanned < head {
		f.scanned = max(f.scanned, f.layer.Tail())
	}
	for ; f.scanned < head; f.scanned++ {
		p := f.layer.Get(f.scanned)
		switch {
		case p == nil:
		case p.FrameEnd:
			f.release(f.scanned + 1)
			f.since = time.Time{}
		case f.since.IsZero():
			f.since = p.Arrival
		}
	}
	if f.since.IsZero() {
		return time.Time{}
	}
	if due := f.since.Add(siaran.GatherTime); now.Before(due) {
		return due
	}
	f.release(head)
	return time.Time{}
}

// release moves ready to end. Packets that are a few bytes shorter than the largest (encoders and packetizers make them
// differ) are padded to its size, so that they go out in one run.
func (f *layerCursor) release(end int64) {
	from := max(f.ready, end-padWindow)
	f.ready = end
	if p := f.layer.Get(end - 1); p != nil {
		f.arrived = p.Arrival
	}
	size := 0
	for seq := from; seq < end; seq++ {
		f.pads[seq&(padWindow-1)] = 0
		if p := f.layer.Get(seq); p != nil {
			size = max(size, len(p.Payload))
		}
	}
	if !f.runs {
		return
	}
	for seq := from; seq < end-1; seq++ { // the last of a run may be shorter
		if p := f.layer.Get(seq); p != nil && size-len(p.Payload) <= maxPadding {
			f.pads[seq&(padWindow-1)] = uint8(size - len(p.Payload))
		}
	}
}

// padding is how much padding a packet below ready is sent with; none if that is no longer known.
func (f *layerCursor) padding(seq int64) (bytes uint8) {
	if seq < f.ready-padWindow {
		return 0
	}
	return f.pads[seq&(padWindow-1)]
}

// measure updates the rate.
func (f *layerCursor) measure(now time.Time) {
	if passed := now.Sub(f.at); passed >= rateInterval {
		bytes := f.layer.Stats().Bytes
		if f.layer.Resting() { // it will be as it was
			f.bytes, f.at = bytes, now
			return
		}
		f.rate = int(float64(bytes-f.bytes) / passed.Seconds())
		f.bytes, f.at = bytes, now
		f.rates = f.layer.Rates()
	}
}
