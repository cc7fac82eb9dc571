package cluster

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"siaran"
)

const (
	lookTime    = 2 * time.Second // for one question to the parent, whoever waits for it
	keepAnswer  = time.Second     // how long an answer is good, also that there is no such stream
	maxAnswers  = 4096
	maxLive     = 10_000 // streams that are live at the parent
	watchPause  = 500 * time.Millisecond
	longPause   = 5 * time.Second
	doubtTime   = 3 * time.Second  // without the parent, until its streams are said to be interrupted
	forgetTime  = 30 * time.Second // and until they are not listed any more
	askedNames  = 100              // a second, of names that nothing is known of; anybody can make them up
	askedBursts = 1000
	maxFlights  = 1000 // questions under way for other servers' requests
)

// Directory is what the parent says about streams. Its methods may be called from any goroutine.
type Directory struct {
	parent  Parent
	node    string
	trouble *trouble
	asks    *rate.Limiter

	mu      sync.Mutex
	answers map[siaran.StreamName]answer
	flights map[question]*flight
	live    map[siaran.StreamName]siaran.Stream // public ones, as the parent reports them
	lost    time.Time                           // since when it does not; zero: it does, or never has
	broke   time.Time                           // when it last stopped to
	watched map[chan struct{}]struct{}
}

type answer struct {
	stream siaran.Stream
	err    error
	last   *siaran.Stream // as the parent last said it; nil: never of late
	until  time.Time
}

// question is what the parent is asked. It may refuse a request for the way that it has come, and anybody can claim to
// be a server, so that requests with different ways do not share a question.
type question struct {
	name siaran.StreamName
	way  string
}

// flight is one question, for all who want to know the same.
type flight struct {
	done chan struct{}
	answer
}

// NewDirectory makes the directory of a parent for this server, node. It asks nothing before Run and Stream.
func NewDirectory(parent Parent, node string, logger *slog.Logger) *Directory {
	return &Directory{
		parent: parent, node: node, trouble: &trouble{log: logger}, asks: rate.NewLimiter(askedNames, askedBursts),
		answers: make(map[siaran.StreamName]answer), flights: make(map[question]*flight),
		live: make(map[siaran.StreamName]siaran.Stream), watched: make(map[chan struct{}]struct{}),
	}
}

// Run follows what is live at the parent until ctx ends.
func (d *Directory) Run(ctx context.Context) {
	pause := watchPause
	for ctx.Err() == nil {
		err := d.parent.Watch(ctx, func(list []siaran.Stream) {
			pause = watchPause
			d.trouble.of("following its streams", nil)
			d.reset(list)
		}, d.change)
		if ctx.Err() != nil {
			return
		}
		d.trouble.of("following its streams", err)
		d.lose(ctx, pause/2+rand.N(pause))
		pause = min(2*pause, longPause)
	}
}

// lose waits before the parent is followed again. In the meantime what is known becomes doubtful.
func (d *Directory) lose(ctx context.Context, pause time.Duration) {
	d.mu.Lock()
	d.broke = time.Now()
	if d.lost.IsZero() {
		d.lost = d.broke
	}
	d.mu.Unlock()
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.lost) >= doubtTime {
		d.tell()
	}
}

func (d *Directory) reset(list []siaran.Stream) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lost = time.Time{}
	clear(d.live)
	for _, s := range list {
		d.put(s)
	}
	for name, a := range d.answers {
		a.until = time.Time{}
		d.answers[name] = a
	}
	d.tell()
}

func (d *Directory) change(e siaran.StreamEvent) {
	d.mu.Lock()
	defer d.mu.Unlock()
	name := e.Stream.Name
	before, was := d.live[name]
	if e.Gone {
		delete(d.live, name)
	} else {
		d.put(e.Stream)
	}
	if a, known := d.answers[name]; known && (was == e.Gone || before.Status != e.Stream.Status) {
		a.until = time.Time{}
		d.answers[name] = a
	}
	d.tell()
}

// put keeps a stream that is live at the parent. What it has from here is no news. The caller holds d.mu.
func (d *Directory) put(s siaran.Stream) {
	if _, known := d.live[s.Name]; s.Node != d.node && (known || len(d.live) < maxLive) {
		d.live[s.Name] = s
	}
}

// tell wakes those who follow. The caller holds d.mu.
func (d *Directory) tell() {
	for c := range d.watched {
		select {
		case c <- struct{}{}:
		default:
		}
	}
}

// follow returns a channel that receives when Live has changed, until done is called.
func (d *Directory) follow() (changed chan struct{}, done func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	changed = make(chan struct{}, 1)
	d.watched[changed] = struct{}{}
	return changed, func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		delete(d.watched, changed)
	}
}

// sources implements Above.
func (d *Directory) sources(siaran.StreamName, bool) ([]source, error) {
	return []source{{Source: d.parent, origin: true, trouble: d.trouble}}, nil
}

// failed implements Above. There is nobody else to ask.
func (d *Directory) failed(source) {}

// whereabouts implements Above. Only the parent knows.
func (d *Directory) whereabouts(siaran.StreamName) (w siaran.Whereabouts, known bool) {
	return w, false
}

// brokeSince reports whether the parent has been out of reach at some time since t, or has been restarted.
func (d *Directory) brokeSince(t time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.broke.After(t)
}

// Live returns the public streams that are live at the parent. While it cannot be reached they count as interrupted
// after a moment, and as gone after half a minute.
func (d *Directory) Live() []siaran.Stream {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := slices.Collect(maps.Values(d.live))
	if d.lost.IsZero() {
		return list
	}
	away := time.Since(d.lost)
	if away >= forgetTime {
		return nil
	}
	for i := range list {
		if away >= doubtTime {
			list[i].Status = siaran.StatusInterrupted
		}
	}
	return list
}

// Stream returns what the parent says about a stream, or said a moment ago. It fails as Parent does.
func (d *Directory) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	d.mu.Lock()
	a, known := d.answers[name]
	if known && time.Now().Before(a.until) {
		d.mu.Unlock()
		return a.stream, a.err
	}
	q := question{name, siaran.WayOf(ctx).String()}
	f := d.flights[q]
	if f == nil {
		if d.madeUp(name) && !d.asks.Allow() || q.way != "" && len(d.flights) >= maxFlights {
			d.mu.Unlock()
			return siaran.Stream{}, siaran.ErrParent
		}
		f = &flight{done: make(chan struct{})}
		d.flights[q] = f
		d.mu.Unlock()
		d.fly(ctx, q, f)
	} else {
		d.mu.Unlock()
	}
	select {
	case <-f.done:
		return f.stream, f.err
	case <-ctx.Done():
		return siaran.Stream{}, ctx.Err()
	}
}

// unheard reports whether the parent would be asked for a name that nothing good is known of.
func (d *Directory) unheard(name siaran.StreamName) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.madeUp(name) && !time.Now().Before(d.answers[name].until)
}

// madeUp reports whether a name may be one that a stranger has made up. The caller holds d.mu.
func (d *Directory) madeUp(name siaran.StreamName) bool {
	_, live := d.live[name]
	a, known := d.answers[name]
	return !live && (!known || a.err != nil)
}

// fly asks the parent. It goes on when the one who began it has gone, because others may wait for the answer.
func (d *Directory) fly(ctx context.Context, q question, f *flight) {
	asking, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTime)
	defer cancel()
	stream, err := d.parent.Stream(asking, q.name)
	if err == nil && stream.Node == d.node {
		err = siaran.ErrUnknownStream // it has that from here
	}
	if errors.Is(err, siaran.ErrNotLive) {
		err = siaran.ErrUnknownStream
	}
	ofTheWay := q.way != "" && (errors.Is(err, siaran.ErrLoop) || errors.Is(err, siaran.ErrTooFar))
	if !ofTheWay {
		d.trouble.of("looking up a stream", err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	f.answer = answer{stream: stream, err: err, until: time.Now().Add(keepAnswer)}
	delete(d.flights, q)
	if !ofTheWay {
		d.keep(q.name, f.answer)
	}
	close(f.done)
}

// Last returns what the parent last said about a stream, however long ago.
func (d *Directory) Last(name siaran.StreamName) (stream siaran.Stream, known bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if last := d.answers[name].last; last != nil {
		return *last, true
	}
	return stream, false
}

// keep remembers an answer. The caller holds d.mu.
func (d *Directory) keep(name siaran.StreamName, a answer) {
	before, known := d.answers[name]
	if a.last = before.last; a.err == nil {
		a.last = &a.stream
	}
	if !known && !d.makeRoom() {
		return
	}
	d.answers[name] = a
}

// makeRoom forgets answers that are no longer good, if there are too many, and reports whether there is room then. What
// the parent has said of its streams goes last: while it is away, that decides who may watch, and anybody can make up
// names. The caller holds d.mu.
func (d *Directory) makeRoom() bool {
	now := time.Now()
	for _, heard := range []bool{false, true} {
		if len(d.answers) >= maxAnswers {
			maps.DeleteFunc(d.answers, func(_ siaran.StreamName, a answer) bool {
				return now.After(a.until) && (a.last == nil || heard)
			})
		}
	}
	return len(d.answers) < maxAnswers
}
