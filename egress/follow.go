package egress

import (
	"time"

	"siaran"
)

// followed is a layer that viewers of one worker get. Only the worker touches it.
type followed struct {
	layer    *siaran.Layer
	viewers  int
	unfollow func()

	limit   int64     // viewers get what is below it
	scanned int64     // what is below it has been looked at
	since   time.Time // when the frame that is not whole yet began to come; zero: there is none

	bytes uint64
	at    time.Time
	rate  int // bytes a second, of late
}

func follow(l *siaran.Layer, wake chan<- struct{}) *followed {
	f := &followed{layer: l, unfollow: l.Follow(wake), bytes: l.Stats().Bytes, at: time.Now()}
	f.scanned = l.Tail()
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
			f.limit, f.since = f.scanned+1, time.Time{}
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
	f.limit = head
	return time.Time{}
}

// measure keeps the rate up to date.
func (f *followed) measure(now time.Time) {
	if passed := now.Sub(f.at); passed >= rateInterval {
		bytes := f.layer.Stats().Bytes
		f.rate = int(float64(bytes-f.bytes) / passed.Seconds())
		f.bytes, f.at = bytes, now
	}
}
