package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"siaran"
)

// Owner is the owner of all broadcasts that are pulled.
const Owner = "relay"

const (
	waitTime    = 3 * time.Second // of viewers, for the first media
	attemptTime = 5 * time.Second // for a pull, up to its first media
	refusedTime = time.Second     // for how long a failure is the answer to the next who ask
	maxRefused  = 4096
	maxPulls    = 1000
	Linger      = 30 * time.Second // a stream stays here for so long after its last viewer
)

// ErrHidden is a siaran.ErrUnknownStream of a parent that has the stream, but does not take this server's token for it.
var ErrHidden = fmt.Errorf("%w: it is not for this server", siaran.ErrUnknownStream)

// Source is a server that streams are pulled from.
//
// Its methods, and those of Parent, fail with siaran.ErrUnknownStream or siaran.ErrNotLive if it has no such stream or
// does not tell this server about it, with siaran.ErrLoop or siaran.ErrTooFar, and otherwise with an error that says in
// plain words what is wrong with it. They tell it the way of the request (siaran.WayOf), with this server at its end.
type Source interface {
	// Open trades an offer for an answer.
	Open(ctx context.Context, name siaran.StreamName, offer []byte) (Session, error)
	// Close ends a session that Open has made. It may be gone already.
	Close(ctx context.Context, s Session)
}

// Parent is a Source that is asked for everything that is not here.
type Parent interface {
	Source
	// Stream returns what the parent knows about a stream.
	Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error)
	// Watch reports the streams that are live there, as siaran.Listing does.
	Watch(ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error
}

// Above is where streams come from: a Directory, which stands for one parent, or Peers.
type Above interface {
	// Stream returns what is known of a stream elsewhere. It fails as Source does.
	Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error)
	// sources returns the servers to ask for a stream, in that order; forChild if another server waits for it.
	sources(name siaran.StreamName, forChild bool) ([]source, error)
	// failed is told that the media of a server does not come, or that it does not answer.
	failed(source)
	// whereabouts returns where a stream is listed as live, whether its server is alive or not; false if it is not, or if
	// that cannot be told from memory.
	whereabouts(name siaran.StreamName) (siaran.Whereabouts, bool)
	// brokeSince reports whether what is live elsewhere has been unknown at some time since t.
	brokeSince(t time.Time) bool
}

// source is a server to ask.
type source struct {
	Source
	node    string // empty: a parent without a name
	origin  bool   // the stream is live there
	trouble *trouble
}

// Session is a session at the parent.
type Session struct {
	URL       string // secret; empty if there is none
	Stream    siaran.StreamName
	Answer    []byte
	Broadcast siaran.BroadcastID
	StartedAt time.Time
	Way       siaran.Way // of the media up to there, the parent included; empty if it does not say
}

// Puller receives streams from other servers, as package ingest does.
type Puller interface {
	// Pull returns when the first media has come. layers are the rids of the parent's layers, if it has several; they
	// come as far as they are needed. exchange is called once.
	Pull(
		ctx context.Context, name siaran.StreamName, layers []string,
		exchange func(ctx context.Context, offer []byte) (Session, error),
	) (Pull, error)
}

// Pull is a stream that is being received.
type Pull interface {
	Done() <-chan struct{}
	// Err says why it has ended: siaran.ErrEnded or siaran.ErrTakenOver if that was decided here.
	Err() error
	Close()
	// Audience tells the parent how many watch here now, and how many have joined since the session began.
	Audience(viewers int, joins uint64)
}

// Config is what a Cluster needs. All fields must be set.
type Config struct {
	Hub      *siaran.Hub
	Above    Above
	Puller   Puller
	Node     string                      // this server's name
	Sessions func(siaran.StreamName) int // of viewers and children here, connected or not
	Logger   *slog.Logger
}

// Cluster pulls streams. Its methods may be called from any goroutine.
type Cluster struct {
	cfg     Config
	ctx     context.Context
	stop    context.CancelFunc
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	pulls   map[siaran.StreamName]*pull
	refused map[siaran.StreamName]refusal

	began, failed uint64
}

// refusal is why a stream could not be had a moment ago.
type refusal struct {
	err   error
	until time.Time
}

// New begins a cluster. It asks nothing of the parent before Ensure.
func New(cfg Config) *Cluster {
	c := &Cluster{
		cfg:   cfg,
		pulls: make(map[siaran.StreamName]*pull), refused: make(map[siaran.StreamName]refusal),
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	c.running.Go(func() { c.yield(c.ctx) })
	return c
}

// Close ends all pulls and waits until nothing of them is left.
func (c *Cluster) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.stop()
	c.running.Wait()
	return nil
}

// Ensure has a stream here, and returns when its media has begun to come, or has come before. It fails with ErrNotLive,
// ErrParent, ErrLoop, ErrTooFar, ErrTooManySessions and ErrClosed, all of package siaran.
func (c *Cluster) Ensure(ctx context.Context, name siaran.StreamName) error {
	ctx, cancel := context.WithTimeout(ctx, waitTime)
	defer cancel()
	// A name that the parent does not know costs it no offer, and this server no session.
	switch above, err := c.cfg.Above.Stream(ctx, name); {
	case errors.Is(err, siaran.ErrUnknownStream), err == nil && above.Status == siaran.StatusOffline:
		return siaran.ErrNotLive
	case errors.Is(err, siaran.ErrLoop), errors.Is(err, siaran.ErrTooFar):
		return outcome(err)
	case err == nil && above.Status == siaran.StatusInterrupted && !c.has(name):
		return siaran.ErrParent // it has no media to begin with
	}
	for {
		p, err := c.join(name, siaran.WayOf(ctx))
		if err != nil {
			return err
		}
		select {
		case <-p.settled:
		case <-ctx.Done():
			return siaran.ErrParent
		}
		if p.err != nil || !p.leaving() {
			return p.err
		}
		select { // it is being let go: wait for that, then ask again
		case <-p.gone:
		case <-ctx.Done():
			return siaran.ErrParent
		}
	}
}

// has reports whether a stream is being pulled, or asked for.
func (c *Cluster) has(name siaran.StreamName) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.pulls[name] != nil
}

// join returns the pull of a stream, and begins it if there is none. It is for everybody, so that its requests do not
// carry the way of the one who happens to come first. A server that this one is just asking for the stream would wait
// for itself.
func (c *Cluster) join(name siaran.StreamName, way siaran.Way) (*pull, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return nil, siaran.ErrClosed
	case c.pulls[name] != nil:
		p := c.pulls[name]
		if p.toward != "" && slices.Contains(way, p.toward) {
			return nil, siaran.ErrLoop
		}
		return p, nil
	}
	if r, there := c.refused[name]; there && time.Now().Before(r.until) {
		return nil, r.err
	}
	if len(c.pulls) >= maxPulls {
		return nil, siaran.ErrTooManySessions
	}
	p := c.newPull(name)
	p.forChild = len(way) > 0
	c.running.Go(func() { p.run(p.ctx) })
	return p, nil
}

// newPull makes the pull of a stream. The caller holds c.mu, and runs it.
func (c *Cluster) newPull(name siaran.StreamName) *pull {
	p := &pull{
		cluster: c, name: name, settled: make(chan struct{}), gone: make(chan struct{}),
		log: c.cfg.Logger.With("stream", name),
	}
	p.ctx, p.cancel = context.WithCancel(c.ctx)
	c.pulls[name] = p
	c.began++
	return p
}

// Way returns the servers that a stream passes, from where it begins up to this one.
func (c *Cluster) Way(name siaran.StreamName) siaran.Way {
	c.mu.Lock()
	defer c.mu.Unlock()
	var above siaran.Way
	if p := c.pulls[name]; p != nil {
		above = p.way
	}
	return above.Extended(c.cfg.Node)
}

// Stats counts pulls.
type Stats struct {
	Pulls, MaxPulls int
	Began, Failed   uint64 // failed: those that never came to media
}

// Stats returns the counters.
func (c *Cluster) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Pulls: len(c.pulls), MaxPulls: maxPulls, Began: c.began, Failed: c.failed}
}

// forget removes a pull that has ended, with an error if it never came to media.
func (c *Cluster) forget(p *pull) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pulls, p.name)
	p.cancel()
	if p.err == nil {
		return
	}
	c.failed++
	c.refuse(p.name, p.err)
}

// refuse makes err the answer to those who ask for a stream next. The caller holds c.mu.
func (c *Cluster) refuse(name siaran.StreamName, err error) {
	now := time.Now()
	if len(c.refused) >= maxRefused {
		for name, r := range c.refused {
			if now.After(r.until) {
				delete(c.refused, name)
			}
		}
	}
	if len(c.refused) < maxRefused {
		c.refused[name] = refusal{err, now.Add(refusedTime)}
	}
}
