package server

import (
	"cmp"
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"siaran"
	"siaran/cluster"
	"siaran/egress"
)

const (
	usualDrain  = time.Minute // of a drain through the API, if --drain says nothing
	drainLook   = 500 * time.Millisecond
	drainNotice = 200 * time.Millisecond // from telling a viewer to the end of its session
	drainAtOnce = 64                     // sessions that are ended at the same time
)

// drain empties the server. Its methods are those of web.Drainer.
type drain struct {
	egress *egress.Server
	usual  time.Duration
	log    *slog.Logger
	over   func()                 // ends the server
	tell   func(draining bool)    // other servers, which send nobody any more
	notify func(siaran.SessionID) // whose session is about to end

	mu     sync.Mutex
	until  time.Time // zero: not under way
	cancel context.CancelFunc
	done   chan struct{}
	final  bool // the server has been told to end: this is not taken back
	ending bool // it ends
}

// DrainTime implements web.Drainer.
func (d *drain) DrainTime() time.Duration { return d.usual }

// Drain implements web.Drainer.
func (d *drain) Drain(within time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ending || !d.until.IsZero() {
		return siaran.ErrDraining
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.until, d.cancel, d.done = time.Now().Add(within), cancel, make(chan struct{})
	d.tell(true)
	d.log.Info("draining: nobody new is let in, and everybody is sent away", "within", within)
	go d.run(ctx, within, d.done)
	return nil
}

// run sends everybody away, and then ends the server, unless ctx ends before.
func (d *drain) run(ctx context.Context, within time.Duration, done chan struct{}) {
	defer close(done)
	children, viewers := d.egress.Everybody()
	began := time.Now()
	var moving errgroup.Group
	moving.SetLimit(drainAtOnce)
	defer func() { _ = moving.Wait() }()
	departures := cluster.Departures(children, viewers, within, rand.Float64)
	moving.Go(func() error {
		for _, next := range departures {
			if !pauseUntil(ctx, began.Add(next.After)) {
				return nil
			}
			d.notify(next.Session)
		}
		return nil
	})
	for _, next := range departures {
		if !pauseUntil(ctx, began.Add(next.After+min(drainNotice, within/20))) {
			return
		}
		moving.Go(func() error { d.egress.Move(next.Session); return nil })
	}
	for time.Since(began) < within {
		if children, viewers := d.egress.Everybody(); len(children)+len(viewers) == 0 {
			break
		}
		if !pauseUntil(ctx, time.Now().Add(min(drainLook, within-time.Since(began)))) {
			return
		}
	}
	d.mu.Lock()
	d.ending = ctx.Err() == nil
	ending := d.ending
	d.mu.Unlock()
	if ending {
		d.log.Info("drained", "after", time.Since(began).Round(time.Millisecond))
		d.over()
	}
}

// pauseUntil reports whether that time has come before ctx ended.
func pauseUntil(ctx context.Context, at time.Time) bool {
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// Undrain implements web.Drainer.
func (d *drain) Undrain() bool {
	d.mu.Lock()
	if d.final || d.ending || d.until.IsZero() {
		d.mu.Unlock()
		return false
	}
	d.until = time.Time{}
	d.cancel()
	done := d.done
	d.mu.Unlock()
	<-done
	d.tell(false)
	d.log.Info("no longer draining")
	return true
}

// Draining implements web.Drainer.
func (d *drain) Draining() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ending || !d.until.IsZero()
}

// Left implements web.Drainer.
func (d *drain) Left() (left time.Duration, children, viewers int) {
	all, others := d.egress.Everybody()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.until.IsZero() {
		left = max(time.Until(d.until), 0)
	}
	return left, len(all), len(others)
}

// wait waits until a drain that is under way is over.
func (d *drain) wait() {
	d.mu.Lock()
	done := d.done
	d.mu.Unlock()
	if done != nil {
		<-done
	}
}

// close ends a drain without ending the server, which ends already.
func (d *drain) close() error {
	d.mu.Lock()
	d.ending = true
	if d.cancel != nil {
		d.cancel()
	}
	d.mu.Unlock()
	d.wait()
	return nil
}

func (s *server) newDrain() *drain {
	return &drain{
		egress: s.egress, usual: cmp.Or(s.cfg.Drain, usualDrain), log: s.logger, tell: s.draining.Store,
	}
}

// drainAtEnd is called when the server has been told to end: it does so at once, or after --drain.
func (s *server) drainAtEnd() {
	if s.cfg.Drain == 0 {
		s.drain.over()
		return
	}
	_ = s.drain.Drain(s.cfg.Drain) // if it drains already, it ends as it has begun to
	s.drain.mu.Lock()
	defer s.drain.mu.Unlock()
	s.drain.final = true
}
