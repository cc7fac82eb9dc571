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

// audience holds all viewers and what they share.
type audience struct {
	cfg      Config
	stamper  *stamper
	gates    []gate
	identity *identity
	pump     pump
	running  sync.WaitGroup
	stop     context.CancelFunc

	measuring     atomic.Bool
	latency       histogram // of stamped packets, in the measured time
	joining       atomic.Bool
	meanwhile     histogram // of stamped packets for the readers, while others join
	undecryptable atomic.Uint64
	repairs       atomic.Uint64 // retransmissions that arrived

	mu      sync.Mutex
	viewers []*viewer // those that have joined
	joins   joins
	turn    int               // how many have asked for an endpoint
	places  map[string]*place // by the server's host and port
}

// joins records how joining went.
type joins struct {
	asked    int             // all
	ramp     int             // those that joined at the configured rate
	starts   []time.Duration // from the request to the complete first key frame
	connects []time.Duration // from the request to the keys
	ciphers  map[string]int
	failures map[string]int
	followed int           // redirects
	first    time.Duration // when the first one sent its request
	last     time.Duration // when the last one had its first key frame
}

func newAudience(cfg Config, st *stamper, wheps []endpoint) (*audience, error) {
	id, err := newIdentity()
	if err != nil {
		return nil, err
	}
	gates := make([]gate, 0, len(wheps))
	for _, whep := range wheps {
		local, err := localAddress(whep.url.String())
		if err != nil {
			return nil, err
		}
		gates = append(gates, gate{whep, local})
	}
	p, err := newPump()
	if err != nil {
		return nil, err
	}
	c := &audience{
		cfg: cfg, stamper: st, gates: gates, identity: id, pump: p, places: make(map[string]*place),
		joins: joins{ciphers: make(map[string]int), failures: make(map[string]int)},
	}
	ctx, cancel := context.WithCancel(context.Background())
	c.stop = cancel
	c.running.Go(func() { c.tick(ctx) })
	return c, nil
}

// tick runs the timers of all viewers.
func (c *audience) tick(ctx context.Context) {
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

func (c *audience) present() []*viewer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.viewers[:len(c.viewers):len(c.viewers)]
}

// stageError says in which stage of a join an error happened.
type stageError struct {
	stage string
	err   error
}

func (e *stageError) Error() string { return e.stage + ": " + e.err.Error() }
func (e *stageError) Unwrap() error { return e.err }

// join connects one viewer and waits until its first key frame is complete. On error nothing stays open.
func (c *audience) join(ctx context.Context, reads bool) (*viewer, *keys, error) {
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
	v.gate = c.next()
	var host netip.AddrPort // not set with a relay
	if c.cfg.Relay == NoRelay {
		port, err := v.open(c.pump, v.gate.local.Is6())
		if err != nil {
			return nil, nil, &stageError{"socket", err}
		}
		host = netip.AddrPortFrom(v.gate.local, port)
	}
	k, err := c.connect(ctx, v, host, random)
	if err != nil {
		c.leave(ctx, v)
		return nil, nil, err
	}
	return v, k, nil
}

func (c *audience) connect(ctx context.Context, v *viewer, host netip.AddrPort, random uint64) (*keys, error) {
	offer, err := viewerOffer(v.own, c.identity.fingerprint, host)
	if err != nil {
		return nil, err
	}
	v.posted = c.stamper.now()
	session, err := v.gate.Post(ctx, v.gate.url, string(offer))
	if err != nil {
		return nil, &stageError{"request", err}
	}
	v.resource, v.redirects, v.place = session.URL, session.Redirects, c.placeOf(session.URL)
	a, err := parseAnswer([]byte(session.Answer))
	if err != nil {
		return nil, &stageError{"answer", err}
	}
	if c.cfg.Relay != NoRelay {
		if a.candidates, err = c.goThrough(ctx, v, session.Links, a.candidates); err != nil {
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
	// The DTLS connection is closed at the end without telling the server: it is of no more use, and would keep
	// goroutines.
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
		return nil, &stageError{"media", errors.New("no complete key frame arrived in time")}
	}
}

// find runs ICE: it checks the candidates in their order until one is selected.
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

// leave ends one session, at the server and locally.
func (c *audience) leave(ctx context.Context, v *viewer) {
	if v.resource != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = v.gate.Delete(ctx, v.resource) // otherwise the server notices by a timeout
	}
	v.close()
	_ = v.pipe.Close()
}

// fill makes count viewers join at the configured rate, and returns when each has its first key frame or has failed.
func (c *audience) fill(ctx context.Context, count int, read bool) {
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

// note records the result of a join.
func (c *audience) note(v *viewer, k *keys, err error) {
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
	c.joins.followed += v.redirects
	v.place.viewers++
	c.joins.starts = append(c.joins.starts, v.started)
	c.joins.connects = append(c.joins.connects, k.at-v.posted)
	c.joins.ciphers[profileName(k.profile)]++
	c.joins.last = max(c.joins.last, v.posted+v.started)
}

// received returns how many media datagrams have arrived for all viewers.
func (c *audience) received() (n uint64) {
	for _, v := range c.present() {
		n += v.received()
	}
	return n
}

// lost returns how many sessions have ended early, by reason.
func (c *audience) lost() map[string]int {
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

// close makes all viewers leave, within leaveTime.
func (c *audience) close(ctx context.Context) {
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
