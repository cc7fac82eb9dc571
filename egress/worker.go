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
	inboxSize    = 1024 // RTCP datagrams of a worker's viewers
)

// worker owns viewers: all they get is sent from its goroutine.
type worker struct {
	wake     chan struct{}
	commands chan func()
	inbox    chan rtcpDatagram
	stopped  chan struct{}
	load     atomic.Int32 // viewers, to choose a worker by
	stats    workerStats
	burst    int // bytes that a viewer may get at once

	// the goroutine's own
	viewers []*viewer
	layers  map[*siaran.Layer]*followed
	batch   *batch
	packets uint64 // sent, as stats has it after each turn
	bytes   uint64
}

type rtcpDatagram struct {
	viewer *viewer
	bytes  []byte
}

// workerStats are counted by the worker and read by anyone.
type workerStats struct {
	packets, bytes                         atomic.Uint64
	repaired, unrepaired                   atomic.Uint64
	overruns, failed, refused, rtcpDropped atomic.Uint64
}

func newWorker(s *Socket, p port, burst int) *worker {
	w := &worker{
		burst: burst,
		wake:  make(chan struct{}, 1), commands: make(chan func()), inbox: make(chan rtcpDatagram, inboxSize), stopped: make(chan struct{}),
		layers: make(map[*siaran.Layer]*followed),
	}
	w.batch = newBatch(p, &s.relays, func(lost int) { s.drops.send.Add(uint64(lost)) })
	return w
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
			w.batch.flush() // repairs; nothing else is new, and the timer goes on
			continue
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
		next := w.serve(now)
		w.batch.flush()
		if tick := ticked.Add(tickInterval); next.IsZero() || tick.Before(next) {
			next = tick
		}
		timer.Reset(time.Until(next))
	}
}

// receive takes a report and those that have come meanwhile.
func (w *worker) receive(d rtcpDatagram) {
	now := time.Now()
	for range inboxSize {
		if !d.viewer.gone {
			d.viewer.handleRTCP(w, d.bytes, now)
		}
		select {
		case d = <-w.inbox:
		default:
			return
		}
	}
}

// serve sends to each viewer what is new to it. It returns when to come back, zero when only something new asks for it.
func (w *worker) serve(now time.Time) (next time.Time) {
	for _, f := range w.layers {
		if again := f.gather(now); !again.IsZero() && (next.IsZero() || again.Before(next)) {
			next = again
		}
	}
	paced := false
	for _, v := range w.viewers {
		if v.advance(w, now) {
			paced = true
		}
	}
	w.stats.packets.Store(w.packets)
	w.stats.bytes.Store(w.bytes)
	if soon := now.Add(paceTick); paced && (next.IsZero() || soon.Before(next)) {
		next = soon
	}
	return next
}

func (w *worker) tick(now time.Time) {
	for _, f := range w.layers {
		f.measure(now)
	}
	for _, v := range w.viewers {
		v.tick(w, now)
	}
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
				f := w.layers[l]
				if f == nil {
					f = follow(l, w.wake, w.batch.port.segments() > 1)
					w.layers[l] = f
				}
				f.viewers++
			}
			t.feed = w.layers[t.layer]
		}
	})
}

// remove says goodbye to a viewer. Nothing is sent to it afterwards.
func (w *worker) remove(v *viewer) {
	w.do(func() {
		i := slices.Index(w.viewers, v)
		if i < 0 {
			return
		}
		v.gone = true
		v.goodbye(time.Now())
		w.viewers = slices.Delete(w.viewers, i, i+1)
		for _, t := range v.tracks {
			for _, l := range t.Layers {
				f := w.layers[l]
				if f.viewers--; f.viewers == 0 {
					f.unfollow()
					delete(w.layers, l)
				}
			}
		}
	})
}
