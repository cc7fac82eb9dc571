package cluster

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/codec"
)

const cats = siaran.StreamName("cats")

// world is a cluster whose parent and network are the test's, and a hub that is real.
type world struct {
	t        *testing.T
	hub      *siaran.Hub
	cluster  *Cluster
	log      *logBuffer
	sessions int // of viewers here

	mu      sync.Mutex
	streams map[siaran.StreamName]siaran.Stream // at the parent
	lookErr error
	openErr error
	way     siaran.Way
	slow    time.Duration // of a pull, until its first media
	looks   int
	offers  []siaran.Way // the ways of the requests
	open    int          // sessions at the parent
	pulls   []*fakePull
	layers  []string // that were pulled last
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// lines counts those that contain a text.
func (l *logBuffer) lines(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.b.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// newWorld is for use in a bubble of synctest. The caller closes it.
func newWorld(t *testing.T) *world {
	w := &world{t: t, log: &logBuffer{}, sessions: 1}
	w.streams = map[siaran.StreamName]siaran.Stream{cats: liveStream("far")}
	w.hub = siaran.NewHub(30*time.Second, codec.NewFramer)
	w.hub.KeepViewers(10 * time.Second)
	logger := slog.New(slog.NewTextHandler(w.log, nil))
	w.cluster = New(Config{
		Hub: w.hub, Above: NewDirectory(w, "edge", logger), Puller: w, Node: "edge",
		Sessions: func(siaran.StreamName) int { w.mu.Lock(); defer w.mu.Unlock(); return w.sessions }, Logger: logger,
	})
	return w
}

func (w *world) close() {
	if err := w.cluster.Close(); err != nil {
		w.t.Error(err)
	}
	w.hub.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open != 0 {
		w.t.Errorf("%d sessions are left at the parent", w.open)
	}
}

func liveStream(node string) siaran.Stream {
	return siaran.Stream{Name: cats, Visibility: siaran.VisibilityPublic, Status: siaran.StatusLive, Node: node}
}

func (w *world) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// end ends the stream at the parent, and its media here.
func (w *world) end() {
	w.set(func() { delete(w.streams, cats) })
	w.newest().end(errors.New("stalled"))
}

func (w *world) newest() *fakePull {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.pulls[len(w.pulls)-1]
}

func (w *world) asked() (looks, offers int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.looks, len(w.offers)
}

// The world is the parent.
var _ Parent = (*world)(nil)

func (w *world) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	if err := siaran.WayOf(ctx).Extended("edge").Check("far"); err != nil {
		return siaran.Stream{}, err
	}
	if w.lookErr != nil {
		return siaran.Stream{}, w.lookErr
	}
	s, there := w.streams[name]
	if !there {
		return s, siaran.ErrUnknownStream
	}
	return s, nil
}

func (w *world) Watch(ctx context.Context, _ func([]siaran.Stream), _ func(siaran.StreamEvent)) error {
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) Open(ctx context.Context, name siaran.StreamName, _ []byte) (Session, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.offers = append(w.offers, siaran.WayOf(ctx).Extended("edge"))
	if w.openErr != nil {
		return Session{}, w.openErr
	}
	if _, there := w.streams[name]; !there {
		return Session{}, siaran.ErrNotLive
	}
	w.open++
	return Session{URL: "https://parent/session", Broadcast: "b1", Way: w.way}, nil
}

func (w *world) Close(context.Context, Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open--
}

// The world is what pulls, too.
var _ Puller = (*world)(nil)

func tracks(layers []string) []siaran.TrackSpec {
	return []siaran.TrackSpec{
		{Codec: siaran.Codec{Name: siaran.Opus, ClockRate: 48000}},
		{Codec: siaran.Codec{Name: siaran.VP8, ClockRate: 90000}, RIDs: layers},
	}
}

type fakePull struct {
	publication *siaran.Publication
	once        sync.Once
	done        chan struct{}
	err         error

	mu   sync.Mutex
	told []audience
}

type audience struct {
	viewers int
	joins   uint64
}

func (w *world) Pull(
	ctx context.Context, name siaran.StreamName, layers []string,
	exchange func(context.Context, []byte) (Session, error),
) (Pull, error) {
	s, err := exchange(ctx, []byte("offer"))
	if err != nil {
		return nil, err
	}
	select {
	case <-time.After(w.slow):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := &fakePull{done: make(chan struct{})}
	p.publication, err = w.hub.PublishFrom(name, Owner, tracks(layers), siaran.Origin{ID: s.Broadcast, Pulled: true})
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if err := p.publication.Writer(siaran.KindAudio, "").Write(1, 0, false, []byte{1}, now); err != nil {
		return nil, err
	}
	go func() {
		select {
		case <-p.publication.Done():
			p.end(p.publication.Err())
		case <-p.done:
		}
	}()
	w.set(func() { w.pulls, w.layers = append(w.pulls, p), layers })
	return p, nil
}

func (p *fakePull) end(err error) {
	p.once.Do(func() {
		p.err = err
		p.publication.Abandon()
		close(p.done)
	})
}

func (p *fakePull) Done() <-chan struct{} { return p.done }
func (p *fakePull) Err() error            { return p.err }
func (p *fakePull) Close()                { p.end(errors.New("closed")) }
func (p *fakePull) Audience(viewers int, joins uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told = append(p.told, audience{viewers, joins})
}

func (p *fakePull) lastTold() (audience, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.told) == 0 {
		return audience{}, 0
	}
	return p.told[len(p.told)-1], len(p.told)
}
