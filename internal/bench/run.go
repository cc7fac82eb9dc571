package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"time"

	"siaran/internal/signalling"
)

const (
	scoutTime = 15 * time.Second       // for a stream to become live
	aloneTime = time.Second            // of measuring the server with a broadcaster and no viewers
	quiet     = 300 * time.Millisecond // until packets on their way have arrived
)

// Run goes through all phases. When ctx ends, Run ends all sessions and fails with the cause of ctx. It takes at most
// half a minute longer than joining, settling and measuring do.
func Run(ctx context.Context, cfg Config) (*Report, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	r := &run{cfg: cfg, stamper: newStamper(), report: &Report{}}
	client := newHTTPClient(min(cfg.Parallel, 256), cfg.Roots)
	defer client.CloseIdleConnections()
	if err := r.prepare(); err != nil {
		return nil, err
	}
	if cfg.WHIP != "" {
		r.say("publishing %d kbit/s", cfg.Bitrate/1000)
		whip, err := newEndpoint(cfg.WHIP, cfg.Token, client)
		if err != nil {
			return nil, err
		}
		if r.publisher, err = publish(ctx, cfg, r.stamper, whip); err != nil {
			return nil, fmt.Errorf("publish: %w", err)
		}
		defer func() { _ = r.publisher.close(ctx) }()
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		r.publisher.onLost(func() { cancel(errors.New("the server has given up the broadcaster")) })
	}
	if err := r.invite(client); err != nil {
		return nil, err
	}
	defer func() {
		r.say("leaving")
		r.audience.close(ctx)
	}()
	for _, phase := range []func(context.Context) error{r.scout, r.start, r.join, r.measure} {
		if err := phase(ctx); err != nil {
			return nil, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	r.fill()
	return r.report, nil
}

// run is what the phases share.
type run struct {
	cfg       Config
	stamper   *stamper
	publisher *publisher // nil when someone else publishes
	audience  *audience
	report    *Report

	alone, joined      usage   // of the server
	idle               float64 // cores that the server uses without viewers
	joinTime           time.Duration
	joinPackets        uint64
	before, after      usage
	ownBefore          time.Duration
	own                time.Duration
	machine            time.Duration // CPU time of the whole machine; 0: not known
	span               time.Duration
	expected, received uint64
	readers            outcome
}

func (r *run) say(format string, args ...any) {
	fmt.Fprintf(r.cfg.Progress, format+"\n", args...)
}

func (r *run) warn(format string, args ...any) {
	w := fmt.Sprintf(format, args...)
	r.report.Warnings = append(r.report.Warnings, w)
	r.say("warning: %s", w)
}

// invite makes the audience.
func (r *run) invite(client *http.Client) (err error) {
	endpoints := make([]endpoint, len(r.cfg.WHEP))
	for i, address := range r.cfg.WHEP {
		if endpoints[i], err = newEndpoint(address, r.cfg.WHEPToken, client); err != nil {
			return err
		}
	}
	r.audience, err = newAudience(r.cfg, r.stamper, endpoints)
	return err
}

func (r *run) prepare() error {
	if r.cfg.PID > 0 {
		if r.cfg.PID == os.Getpid() {
			return errors.New("--pid: that is this process; use the server's")
		}
		if _, err := lookAt(r.cfg.PID); err != nil {
			return err
		}
	}
	for _, u := range append([]string{r.cfg.WHIP}, r.cfg.WHEP...) {
		if u != "" && !onLoopback(u) {
			r.warn("the server is another machine: the results include the network and its losses, " +
				"and the load affects everyone on it; use this only on your own servers")
			break
		}
	}
	if r.cfg.PID > 0 && !onLoopback(r.cfg.WHEP[0]) {
		r.warn("--pid is a process of this machine, but the server's address is not a loopback address: " +
			"make sure that they belong together")
	}
	need := uint64(r.cfg.Viewers + min(r.cfg.Parallel, 256) + 100)
	if have := allowFiles(need); have < need {
		return fmt.Errorf("%d open files are allowed and %d are needed: "+
			"raise the limit (ulimit -n %d) or use fewer --viewers", have, need, need)
	}
	if runtime.GOOS != "linux" {
		r.warn("on %s the kernel cannot drop what viewers do not read: "+
			"viewers cost more than on Linux, and --pid does not work", runtime.GOOS)
	}
	return nil
}

func (r *run) look() (usage, error) {
	if r.cfg.PID == 0 {
		return usage{at: time.Now()}, nil
	}
	return lookAt(r.cfg.PID)
}

// scout waits until the stream can be watched, and measures the server without viewers.
func (r *run) scout(ctx context.Context) error {
	deadline := time.Now().Add(scoutTime)
	for {
		v, _, err := r.audience.join(ctx, false)
		if err == nil {
			r.audience.leave(ctx, v)
			break
		}
		var refusal *signalling.Error
		retry := errors.As(err, &refusal) &&
			(refusal.Code == http.StatusNotFound || refusal.Code == http.StatusConflict || refusal.Code >= 500)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !retry || r.publisher == nil || time.Now().After(deadline) {
			return fmt.Errorf("a first viewer cannot watch: %w", err)
		}
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
	if r.cfg.PID == 0 {
		return nil
	}
	if err := pause(ctx, quiet); err != nil { // until the first viewer is gone
		return err
	}
	begun, err := r.look()
	if err != nil {
		return err
	}
	if err := pause(ctx, aloneTime); err != nil {
		return err
	}
	if r.alone, err = r.look(); err != nil {
		return err
	}
	r.idle = (r.alone.cpu - begun.cpu).Seconds() / r.alone.at.Sub(begun.at).Seconds()
	return nil
}

// start makes the readers join before all others, to measure how joining affects those who already watch.
func (r *run) start(ctx context.Context) error {
	if r.cfg.Readers == 0 || r.cfg.Readers == r.cfg.Viewers {
		return nil
	}
	r.say("%d readers join", r.cfg.Readers)
	r.audience.fill(ctx, r.cfg.Readers, true)
	return pause(ctx, r.cfg.Settle)
}

func (r *run) join(ctx context.Context) error {
	count, read := r.cfg.Viewers-r.cfg.Readers, false
	if count == 0 {
		count, read = r.cfg.Viewers, true
	}
	r.say("%d viewers join, %g a second", count, r.cfg.Ramp)
	packets := r.audience.received()
	begun, err := r.look()
	if err != nil {
		return err
	}
	r.audience.joining.Store(!read)
	r.audience.fill(ctx, count, read)
	r.audience.joining.Store(false)
	if r.joined, err = r.look(); err != nil {
		return err
	}
	r.joinPackets = r.audience.received() - packets
	r.joinTime = r.joined.at.Sub(begun.at)
	r.joined.cpu -= begun.cpu // from here on, what joining took
	if len(r.audience.present()) == 0 && ctx.Err() == nil {
		return fmt.Errorf("no viewer could join: %v", r.audience.joins.failures)
	}
	return pause(ctx, r.cfg.Settle)
}

// measure lets the viewers watch. Our own publisher, if any, pauses for a moment before and after, so that no packets
// are on their way when they are counted.
func (r *run) measure(ctx context.Context) (err error) {
	r.say("%d viewers watch for %s", len(r.audience.present()), r.cfg.Duration)
	var sent, sentAfter published
	if r.publisher != nil {
		sent = r.publisher.pause()
		if err := pause(ctx, quiet); err != nil {
			return err
		}
	}
	r.audience.pump.coalesce(r.burst())
	defer r.audience.pump.coalesce(0)
	if r.cfg.OneCPU {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	readers := r.readersOf()
	for _, v := range readers {
		v.measure(sent.video)
	}
	received := r.audience.received()
	if r.before, err = r.look(); err != nil {
		return err
	}
	r.ownBefore = ownCPU()
	machine, known := machineCPU()
	r.audience.measuring.Store(true)
	begun := time.Now()
	if r.publisher != nil {
		r.publisher.resume()
	}
	if err := pause(ctx, r.cfg.Duration); err != nil {
		return err
	}
	if r.publisher != nil {
		sentAfter = r.publisher.pause()
	}
	r.span = time.Since(begun)
	if r.publisher != nil {
		if err := r.drain(ctx); err != nil {
			return err
		}
	}
	r.audience.measuring.Store(false)
	r.received = r.audience.received() - received
	r.own = ownCPU() - r.ownBefore
	if now, ok := machineCPU(); known && ok {
		r.machine = now - machine
	}
	if r.after, err = r.look(); err != nil {
		return err
	}
	for _, v := range readers {
		o := v.measured(sentAfter.video)
		r.readers.expected += o.expected
		r.readers.seen += o.seen
		r.readers.published += o.published
		r.readers.seenStamps += o.seenStamps
		r.readers.noRoom += o.noRoom
	}
	viewers := uint64(len(r.audience.present()))
	switch {
	case r.publisher != nil:
		r.expected = uint64(sentAfter.video-sent.video+sentAfter.audio-sent.audio) * viewers
	case len(readers) > 0:
		r.expected = r.readers.expected / uint64(len(readers)) * viewers
	}
	return nil
}

// burst returns how many bytes a viewer may be sent at once: a key frame, with much to spare.
func (r *run) burst() int {
	if r.publisher == nil {
		return 1 << 30
	}
	return max(4*keyframeScale*r.cfg.Bitrate/8/r.cfg.FPS, 1<<15)
}

// drain waits until nothing more arrives, at most a few seconds.
func (r *run) drain(ctx context.Context) error {
	last := r.audience.received()
	for range 10 {
		if err := pause(ctx, quiet); err != nil {
			return err
		}
		now := r.audience.received()
		if now == last {
			return nil
		}
		last = now
	}
	return nil
}

func (r *run) readersOf() (list []*viewer) {
	for _, v := range r.audience.present() {
		if v.reads {
			list = append(list, v)
		}
	}
	return list
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
