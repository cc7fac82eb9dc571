package egress

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"siaran"
	"siaran/internal/fault"
	"siaran/internal/measure"
	"siaran/internal/monotonic"
	"siaran/mediaport"
)

const (
	tickInterval = 100 * time.Millisecond
	rateInterval = time.Second
	inboxSize    = 1024 // genuine RTCP datagrams of a worker's viewers
	maxWaiting   = 16   // of these, of one viewer
)

// worker owns viewers: everything they get is sent from its goroutine.
type worker struct {
	wake     chan struct{}
	commands chan func()
	inbox    chan rtcpDatagram
	stopped  chan struct{}
	load     atomic.Int32 // sessions; new ones go to the worker with the fewest
	stats    workerStats
	burst    int // bytes that a viewer may get at once
	faults   *fault.Log

	// Owned by the goroutine.
	viewers []*viewer
	layers  map[*siaran.Layer]*layerCursor
	batch   *mediaport.Batch
	packets uint64 // sent; stats has it after each turn
	bytes   uint64
}

type rtcpDatagram struct {
	viewer *viewer
	plain  []byte
}

func newWorker(s *mediaport.Socket, shard, burst int, d *drops) *worker {
	w := &worker{
		burst: burst, faults: s.Faults(),
		wake: make(chan struct{}, 1), commands: make(chan func()), inbox: make(chan rtcpDatagram, inboxSize),
		stopped: make(chan struct{}),
		layers:  make(map[*siaran.Layer]*layerCursor),
		stats:   workerStats{late: measure.New(measure.Turns), delay: measure.New(measure.Turns)},
	}
	w.batch = s.NewBatch(shard, func(lost int) { d.sent.Add(uint64(lost)) })
	return w
}

// run serves the viewers until ctx ends. All have been removed by then.
func (w *worker) run(ctx context.Context) {
	defer close(w.stopped)
	timer := time.NewTimer(tickInterval)
	defer timer.Stop()
	var ticked, due time.Time
	for {
		late := false
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case f := <-w.commands:
			f()
		case d := <-w.inbox:
			w.receive(d)
			w.batch.Flush() // repairs; nothing else is new, and the timer keeps running
			continue
		case <-timer.C:
			late = !due.IsZero()
		}
		if len(w.viewers) == 0 {
			due = time.Time{}
			w.stats.due.Store(0)
			continue // the first viewer sets the timer again
		}
		now := time.Now()
		if late {
			w.stats.late.Observe(now.Sub(due))
		}
		w.stats.begin(now, due)
		if now.Sub(ticked) >= tickInterval {
			ticked = now
			w.tick(now)
		}
		next := w.serve(now)
		w.batch.Flush()
		w.measure()
		if tick := ticked.Add(tickInterval); next.IsZero() || tick.Before(next) {
			next = tick
		}
		due = next
		w.stats.due.Store(monotonic.Nanos(due))
		done := time.Now()
		w.stats.busy.Add(int64(done.Sub(now)))
		timer.Reset(next.Sub(done))
	}
}

// receive handles a report and those that have arrived in the meantime.
func (w *worker) receive(d rtcpDatagram) {
	now := time.Now()
	for range inboxSize {
		d.viewer.waiting.Add(-1)
		w.handleRTCP(d, now)
		select {
		case d = <-w.inbox:
		default:
			return
		}
	}
}

// serve sends each viewer what is new to it. It returns when to come back, or zero if only new packets ask for it.
func (w *worker) serve(now time.Time) (next time.Time) {
	for _, f := range w.layers {
		if again := f.advance(now); !again.IsZero() && (next.IsZero() || again.Before(next)) {
			next = again
		}
	}
	paced := false
	for _, v := range w.viewers {
		if w.advance(v, now) {
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

// measure notes how long the newest frames have been here, now that they have gone out.
func (w *worker) measure() {
	for _, f := range w.layers {
		if !f.arrived.IsZero() {
			w.stats.delay.Observe(time.Since(f.arrived))
			f.arrived = time.Time{}
		}
	}
}

func (w *worker) tick(now time.Time) {
	for _, f := range w.layers {
		f.measure(now)
	}
	for _, v := range w.viewers {
		w.tickOne(v, now)
	}
}

// handleRTCP, advance and tickOne do for one viewer what depends on input from outside. A panic ends that viewer alone.

func (w *worker) handleRTCP(d rtcpDatagram, now time.Time) {
	defer w.faults.Recover("a viewer's report", d.viewer.fail)
	if !d.viewer.gone {
		d.viewer.handleCompound(w, d.plain, now)
	}
}

func (w *worker) advance(v *viewer, now time.Time) (paced bool) {
	defer w.faults.Recover("sending to a viewer", v.fail)
	return v.advance(w, now)
}

func (w *worker) tickOne(v *viewer, now time.Time) {
	defer w.faults.Recover("a viewer's timers", v.fail)
	v.tick(w, now)
}

// push hands a genuine RTCP datagram to the worker. It drops the datagram if the worker is far behind or has many of
// this viewer's.
func (w *worker) push(v *viewer, plain []byte) {
	if v.waiting.Add(1) > maxWaiting {
		v.waiting.Add(-1)
		w.stats.rtcpDropped.Add(1)
		return
	}
	select {
	case w.inbox <- rtcpDatagram{v, plain}:
	default:
		v.waiting.Add(-1)
		w.stats.rtcpDropped.Add(1)
	}
}

// do runs f in the worker's goroutine and waits for it. It returns false if the worker has stopped.
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
					f = follow(l, w.wake, w.batch.TakesRuns())
					w.layers[l] = f
				}
				f.viewers++
			}
			t.shared = w.layers[t.layer]
		}
		for _, t := range v.tracks {
			if t.sel != nil {
				t.choose(v.wishes.chosen())
				t.decide(w, time.Now())
			}
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
		if !v.gone {
			v.gone = true
			v.goodbye(time.Now())
		}
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
