package egress

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"siaran"
)

const (
	tickInterval = 100 * time.Millisecond
	rateInterval = time.Second
	inboxSize    = 4096 // RTCP datagrams of a worker's viewers
)

// worker owns viewers: all they get is sent from its goroutine.
type worker struct {
	wake     chan struct{}
	commands chan func()
	inbox    chan rtcpDatagram
	stopped  chan struct{}
	load     atomic.Int32 // viewers, to choose a worker by
	stats    workerStats

	// the goroutine's own
	viewers []*viewer
	layers  map[*siaran.Layer]*followed
	plain   []byte // the packet that is being put together
}

type rtcpDatagram struct {
	viewer *viewer
	bytes  []byte
}

// followed is a layer that viewers of this worker get.
type followed struct {
	viewers  int
	unfollow func()
	bytes    uint64
	at       time.Time
	rate     int // bytes a second
}

// workerStats are counted by the worker and read by anyone.
type workerStats struct {
	packets, bytes                         atomic.Uint64
	repaired, unrepaired                   atomic.Uint64
	overruns, failed, refused, rtcpDropped atomic.Uint64
}

func newWorker() *worker {
	return &worker{
		wake: make(chan struct{}, 1), commands: make(chan func()), inbox: make(chan rtcpDatagram, inboxSize), stopped: make(chan struct{}),
		layers: make(map[*siaran.Layer]*followed), plain: make([]byte, headerSize, maxDatagram),
	}
}

// run serves the viewers until ctx ends. They have been removed by then.
func (w *worker) run(ctx context.Context) {
	defer close(w.stopped)
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	var ticked time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case f := <-w.commands:
			f()
		case d := <-w.inbox:
			w.receive(d)
		case <-timer.C:
		}
		if len(w.viewers) == 0 {
			continue // the timer is set again with the first viewer
		}
		now := time.Now()
		if now.Sub(ticked) >= tickInterval {
			ticked = now
			w.tick(now)
		}
		if w.serve(now) {
			timer.Reset(paceTick)
		} else {
			timer.Reset(time.Until(ticked.Add(tickInterval)))
		}
	}
}

// receive takes a report and those that have come meanwhile.
func (w *worker) receive(d rtcpDatagram) {
	now := time.Now()
	for range inboxSize {
		if slices.Contains(w.viewers, d.viewer) {
			d.viewer.handleRTCP(w, d.bytes, now)
		}
		select {
		case d = <-w.inbox:
		default:
			return
		}
	}
}

// serve sends to each viewer what is new to it. It returns true while any is paced.
func (w *worker) serve(now time.Time) (paced bool) {
	for _, v := range w.viewers {
		if v.advance(w, now) {
			paced = true
		}
	}
	return paced
}

func (w *worker) tick(now time.Time) {
	for l, f := range w.layers {
		if passed := now.Sub(f.at); passed >= rateInterval {
			bytes := l.Stats().Bytes
			f.rate = int(float64(bytes-f.bytes) / passed.Seconds())
			f.bytes, f.at = bytes, now
		}
	}
	for _, v := range w.viewers {
		v.tick(w, now)
	}
}

// rateOf is a layer's bit rate of late, in bytes a second.
func (w *worker) rateOf(l *siaran.Layer) int {
	if f := w.layers[l]; f != nil {
		return f.rate
	}
	return 0
}

func (w *worker) sent(bytes int) {
	w.stats.packets.Add(1)
	w.stats.bytes.Add(uint64(bytes))
}

// push hands an RTCP datagram to the worker, or drops it when the worker is far behind.
func (w *worker) push(v *viewer, b []byte) {
	select {
	case w.inbox <- rtcpDatagram{v, b}:
	default:
		w.stats.rtcpDropped.Add(1)
	}
}

// do runs f in the worker's goroutine and waits for it. False: the worker has stopped.
func (w *worker) do(f func()) bool {
	done := make(chan struct{})
	select {
	case w.commands <- func() { f(); close(done) }:
		<-done
		return true
	case <-w.stopped:
		return false
	}
}

func (w *worker) add(v *viewer) {
	w.do(func() {
		w.viewers = append(w.viewers, v)
		for _, t := range v.tracks {
			for _, l := range t.Layers {
				w.follow(l)
			}
		}
	})
}

func (w *worker) follow(l *siaran.Layer) {
	f := w.layers[l]
	if f == nil {
		f = &followed{unfollow: l.Follow(w.wake), bytes: l.Stats().Bytes, at: time.Now()}
		if first, last := l.Get(l.Tail()), l.Get(l.Head()-1); first != nil && last != nil && last.Arrival.After(first.Arrival) {
			f.rate = rateBetween(l, first, last)
		}
		w.layers[l] = f
	}
	f.viewers++
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

// remove says goodbye to a viewer. Nothing is sent to it afterwards.
func (w *worker) remove(v *viewer) {
	w.do(func() {
		i := slices.Index(w.viewers, v)
		if i < 0 {
			return
		}
		v.goodbye()
		w.viewers = slices.Delete(w.viewers, i, i+1)
		for _, t := range v.tracks {
			for _, l := range t.Layers {
				if f := w.layers[l]; f.viewers == 1 {
					f.unfollow()
					delete(w.layers, l)
				} else {
					f.viewers--
				}
			}
		}
	})
}
