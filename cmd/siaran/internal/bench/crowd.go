package bench

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/randutil"
)

const (
	tickEvery = 50 * time.Millisecond
	leavers   = 32 // DELETEs at the same time
	leaveTime = 20 * time.Second
)

// crowd is the audience and what all viewers share.
type crowd struct {
	cfg      Config
	stamper  *stamper
	signal   *signaller
	identity *identity
	pump     pump
	local    netip.Addr // where the server sees us
	running  sync.WaitGroup
	stop     context.CancelFunc

	measuring     atomic.Bool
	latency       histogram // of packets with a stamp, in the measured time
	joining       atomic.Bool
	meanwhile     histogram // of packets for the readers, while others join
	undecryptable atomic.Uint64
	repairs       atomic.Uint64 // retransmissions that came

	mu      sync.Mutex
	viewers []*viewer // those that have joined
	joins   joins
}

// joins is how the joining went.
type joins struct {
	asked    int             // all
	ramp     int             // those that came in at the rate that was asked for
	starts   []time.Duration // from the request to the whole first key frame
	connects []time.Duration // from the request to the keys
	ciphers  map[string]int
	failures map[string]int
	first    time.Duration // when the first one asked
	last     time.Duration // when the last one had its key frame
}

func newCrowd(cfg Config, st *stamper, signal *signaller) (*crowd, error) {
	id, err := newIdentity()
	if err != nil {
		return nil, err
	}
	local, err := localAddress(cfg.WHEP)
	if err != nil {
		return nil, err
	}
	p, err := newPump()
	if err != nil {
		return nil, err
	}
	c := &crowd{
		cfg: cfg, stamper: st, signal: signal, identity: id, pump: p, local: local,
		joins: joins{ciphers: make(map[string]int), failures: make(map[string]int)},
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.running.Go(func() { c.tick(ctx) })
	return c, nil
}

// tick keeps the timers of all viewers.
func (c *crowd) tick(ctx context.Context) {
	ticker := time.NewTicker(tickEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := c.stamper.now()
		for _, v := range c.present() {
			v.tick(now)
		}
	}
}

func (c *crowd) present() []*viewer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.viewers[:len(c.viewers):len(c.viewers)]
}

// stageError says in which part of a join an error has happened.
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// join brings one viewer until its first key frame is whole. On error nothing of it stays open.
func (c *crowd) join(ctx context.Context, reads bool) (*viewer, *keys, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.JoinTimeout)
	defer cancel()
	own, err := newCredentials()
	if err != nil {
		return nil, nil, err
	}
	random, err := randutil.CryptoUint64()
	if err != nil {
		return nil, nil, err
	}
	v := newViewer(c, reads, own, uint32(random))
	var host netip.AddrPort // with a relay there is none
	if c.cfg.Relay == NoRelay {
		port, err := v.open(c.pump, c.local.Is6())
		if err != nil {
			return nil, nil, &stageError{"socket", err}
		}
		host = netip.AddrPortFrom(c.local, port)
	}
	k, err := c.connect(ctx, v, host, random)
	if err != nil {
		c.leave(ctx, v)
		return nil, nil, err
	}
	return v, k, nil
}

func (c *crowd) connect(ctx context.Context, v *viewer, host netip.AddrPort, random uint64) (*keys, error) {
	offer, err := viewerOffer(v.own, c.identity.fingerprint, host)
	if err != nil {
		return nil, err
	}
	v.posted = c.stamper.now()
	res, err := c.signal.post(ctx, c.cfg.WHEP, c.cfg.WHEPToken, offer)
	if err != nil {
		return nil, &stageError{"request", err}
	}
	v.resource = res.session
	a, err := parseAnswer(res.answer)
	if err != nil {
		return nil, &stageError{"answer", err}
	}
	if c.cfg.Relay != NoRelay {
		if a.candidates, err = c.goThrough(ctx, v, res.links, a.candidates); err != nil {
			return nil, &stageError{"relay", err}
		}
	}
	v.begin(a, random)
	if err := v.find(ctx); err != nil {
		return nil, &stageError{"ICE", err}
	}
	k, err := handshake(ctx, v.pipe, c.identity.certificate, c.cfg.Cipher, a)
	if err != nil {
		return nil, &stageError{"DTLS", err}
	}
	// The DTLS connection is closed without a word to the server once it has seen the server
	// through: it is of no more use, and would keep goroutines.
	defer func() {
		v.pipe.muted.Store(true)
		_ = k.conn.Close()
	}()
	v.secure(k)
	k.at = c.stamper.now()
	select {
	case <-v.key:
		return k, nil
	case <-ctx.Done():
		return nil, &stageError{"media", errors.New("no whole key frame in time")}
	}
}

// find does ICE: the candidates are checked in their order.
func (v *viewer) find(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for round := 0; ; round++ {
		select {
		case <-v.selected:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("none of the server's %d addresses answers", len(v.answer.candidates))
		case <-timer.C:
		}
		v.check(round)
		pause := checkPace
		if (round+1)%len(v.answer.candidates) == 0 {
			pause = checkRepeat
		}
		timer.Reset(pause)
	}
}

// leave ends one session, at the server and here.
func (c *crowd) leave(ctx context.Context, v *viewer) {
	if v.resource != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = c.signal.remove(ctx, v.resource, c.cfg.WHEPToken) // the server notices by itself in the end
	}
	v.close()
	_ = v.pipe.Close()
}

// fill has some viewers join, at the rate that is asked for, and returns when each has its first key frame or has failed.
func (c *crowd) fill(ctx context.Context, count int, read bool) {
	begun := c.stamper.now()
	c.joins.first = begun
	places := make(chan struct{}, c.cfg.Parallel)
	var joining sync.WaitGroup
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i := range count {
		timer.Reset(begun + time.Duration(float64(i)/c.cfg.Ramp*float64(time.Second)) - c.stamper.now())
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		joining.Go(func() {
			defer func() { <-places }()
			v, k, err := c.join(ctx, read)
			c.note(v, k, err)
		})
	}
	joining.Wait()
	c.joins.ramp = count
}

// note counts a join in.
func (c *crowd) note(v *viewer, k *keys, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.joins.asked++
	if err != nil {
		why := err.Error()
		if _, known := c.joins.failures[why]; !known && len(c.joins.failures) >= 10 {
			why = "other"
		}
		c.joins.failures[why]++
		return
	}
	c.viewers = append(c.viewers, v)
	c.joins.starts = append(c.joins.starts, v.started)
	c.joins.connects = append(c.joins.connects, k.at-v.posted)
	c.joins.ciphers[profileName(k.profile)]++
	c.joins.last = max(c.joins.last, v.posted+v.started)
}

// received sums up what has come for all viewers.
func (c *crowd) received() (n uint64) {
	for _, v := range c.present() {
		n += v.received()
	}
	return n
}

// lost is how many sessions are over before their time, and why.
func (c *crowd) lost() map[string]int {
	lost := make(map[string]int)
	for _, v := range c.present() {
		v.mu.Lock()
		if v.ended != "" {
			lost[v.ended]++
		}
		v.mu.Unlock()
	}
	return lost
}

// close has all viewers leave, within a bounded time.
func (c *crowd) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	queue := make(chan *viewer)
	var leaving sync.WaitGroup
	for range leavers {
		leaving.Go(func() {
			for v := range queue {
				c.leave(ctx, v)
			}
		})
	}
	for _, v := range c.present() {
		queue <- v
	}
	close(queue)
	leaving.Wait()
	c.stop()
	c.running.Wait()
	c.pump.close()
}
