package egress

import (
	"time"

	"siaran"
)

const (
	maxPadding = 32      // bytes added to a packet at most
	padWindow  = 1 << 11 // packets whose padding is remembered, a power of two
)

// followed is a layer that viewers of one worker get. Only the worker touches it.
type followed struct {
	layer    *siaran.Layer
	viewers  int
	unfollow func()

	limit   int64     // viewers get what is below it
	scanned int64     // what is below it has been looked at
	since   time.Time // when the frame that is not whole yet began to come; zero: there is none

	runs bool             // the port sends packets of one size in one go
	pads [padWindow]uint8 // of the newest packets below the limit, by sequence number

	bytes uint64
	at    time.Time
	rate  int // bytes a second, of late
}

func follow(l *siaran.Layer, wake chan<- struct{}, runs bool) *followed {
	f := &followed{layer: l, runs: runs, unfollow: l.Follow(wake), bytes: l.Stats().Bytes, at: time.Now()}
	f.scanned = l.Tail()
	f.limit = f.scanned
	f.gather(f.at)
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

// gather moves the limit to the end of the newest whole frame, so that it goes out in one run, or
// of all that has come when the rest keeps one waiting. It returns when to look again, zero when there is no need.
func (f *followed) gather(now time.Time) (again time.Time) {
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

// release moves the limit. The packets of a frame are padded to one size where little is
// missing (encoders and packetizers make them differ by a few bytes), so that they go in one run.
func (f *followed) release(limit int64) {
	from := max(f.limit, limit-padWindow)
	f.limit = limit
	size := 0
	for seq := from; seq < limit; seq++ {
		f.pads[seq&(padWindow-1)] = 0
		if p := f.layer.Get(seq); p != nil {
			size = max(size, len(p.Payload))
		}
	}
	if !f.runs {
		return
	}
	for seq := from; seq < limit-1; seq++ { // the last of a run may be shorter
		if p := f.layer.Get(seq); p != nil && size-len(p.Payload) <= maxPadding {
			f.pads[seq&(padWindow-1)] = uint8(size - len(p.Payload))
		}
	}
}

// padding is what a packet below the limit is to be sent with; nothing when that is not known any more.
func (f *followed) padding(seq int64) (bytes int) {
	if seq < f.limit-padWindow {
		return 0
	}
	return int(f.pads[seq&(padWindow-1)])
}

// measure keeps the rate up to date.
func (f *followed) measure(now time.Time) {
	if passed := now.Sub(f.at); passed >= rateInterval {
		bytes := f.layer.Stats().Bytes
		f.rate = int(float64(bytes-f.bytes) / passed.Seconds())
		f.bytes, f.at = bytes, now
	}
}
