package web

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"siaran"
	"siaran/internal/netaddr"
)

const sweepEvery = 5 * time.Second // for event streams whose session has ended

// viewerStreams holds the event streams of viewers' sessions.
type viewerStreams struct {
	hub   *siaran.Hub
	alive func(siaran.SessionID) bool
	log   *eventLog
	most  int           // readers
	share netaddr.Share // of most, for one source

	mu      sync.Mutex
	byID    map[siaran.SessionID]map[string]*viewerEvents
	reading map[siaran.StreamName]map[*viewerEvents]struct{} // those that somebody reads
	readers int
	from    netaddr.Tally // readers
	over    bool          // the server ends
	back    time.Duration // within which readers should come back then
}

// viewerEvents is one event stream. However slowly it is read, it keeps only the newest event of each kind.
type viewerEvents struct {
	session siaran.SessionID
	id      string
	stream  siaran.StreamName
	names   map[string]bool // that the viewer has asked for
	wake    chan struct{}   // holds one element: the state of the stream has changed

	replace chan struct{} // closed when its reader has to go; guarded by viewerStreams.mu; nil: nobody reads

	mu     sync.Mutex
	ended  bool
	moving bool // the session is about to end, and the viewer to go elsewhere
	last   int  // number of the newest event
	told   map[string]toldEvent
	values map[string]any // what told was made of
}

func newViewerStreams(hub *siaran.Hub, egress Viewers, most int, share netaddr.Share, log *eventLog) *viewerStreams {
	return &viewerStreams{
		hub: hub, log: log, most: most, share: share,
		alive:   func(id siaran.SessionID) bool { _, err := egress.Viewing(id); return err == nil },
		byID:    make(map[siaran.SessionID]map[string]*viewerEvents),
		reading: make(map[siaran.StreamName]map[*viewerEvents]struct{}), from: make(netaddr.Tally),
	}
}

// run wakes readers when the state of their stream changes, and forgets what has ended, until ctx ends.
func (v *viewerStreams) run(ctx context.Context) {
	feed := v.hub.Feed()
	defer feed.Close()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	states := make(map[siaran.StreamName]siaran.Status)
	for {
		select {
		case <-ctx.Done():
			v.end(0)
			return
		case <-sweep.C:
			v.sweep()
		case <-feed.Ready():
			for _, c := range feed.Take() {
				v.changed(c.State, states)
			}
		}
	}
}

// changed wakes the readers of a stream whose status has changed.
func (v *viewerStreams) changed(b siaran.BroadcastState, states map[siaran.StreamName]siaran.Status) {
	if states[b.Stream] == b.Status {
		return
	}
	v.log.status(states[b.Stream], b)
	if states[b.Stream] = b.Status; b.Status == siaran.StatusOffline {
		delete(states, b.Stream)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for e := range v.reading[b.Stream] {
		e.poke()
	}
}

func (e *viewerEvents) poke() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// closing reports whether the server is shutting down, and within which time viewers should come back.
func (v *viewerStreams) closing() (closing bool, back time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.over || v.hub.Closed(), v.back
}

// open adds an event stream to a session.
func (v *viewerStreams) open(
	id siaran.SessionID, stream siaran.StreamName, names []string,
) (*viewerEvents, error) {
	if !v.alive(id) {
		return nil, siaran.ErrUnknownSession
	}
	e := &viewerEvents{
		session: id, id: newEventsID(), stream: stream, names: make(map[string]bool), wake: make(chan struct{}, 1),
		told: make(map[string]toldEvent), values: make(map[string]any),
	}
	for _, name := range names {
		e.names[name] = true
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byID[id]) >= maxStreams {
		return nil, &failure{
			kind: tooManyEvents, retryAfter: 1,
			detail: "the session has as many event streams as it may have: end one of them first, with DELETE",
		}
	}
	if v.byID[id] == nil {
		v.byID[id] = make(map[string]*viewerEvents)
	}
	v.byID[id][e.id] = e
	return e, nil
}

func (v *viewerStreams) find(id siaran.SessionID, name string) *viewerEvents {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byID[id][name]
}

// read makes the caller the reader of an event stream until it calls done. It has to go when replaced is closed. read
// fails with ErrTooManySessions or ErrShare.
func (v *viewerStreams) read(e *viewerEvents, from netip.Addr) (replaced chan struct{}, done func(), err error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.byID[e.session][e.id] != e {
		return nil, nil, errNoEvents
	}
	if v.readers >= v.most {
		return nil, nil, siaran.ErrTooManySessions
	}
	if v.from.Over(from, v.share, v.most) {
		return nil, nil, siaran.ErrShare
	}
	if e.replace != nil {
		close(e.replace)
	}
	replaced = make(chan struct{})
	e.replace = replaced
	v.readers++
	v.from.Add(from)
	if v.reading[e.stream] == nil {
		v.reading[e.stream] = make(map[*viewerEvents]struct{})
	}
	v.reading[e.stream][e] = struct{}{}
	return replaced, func() { v.leave(e, replaced, from) }, nil
}

func (v *viewerStreams) leave(e *viewerEvents, replaced chan struct{}, from netip.Addr) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.readers--
	v.from.Remove(from)
	if e.replace != replaced { // by a newer reader
		return
	}
	e.replace = nil
	delete(v.reading[e.stream], e)
	if len(v.reading[e.stream]) == 0 {
		delete(v.reading, e.stream)
	}
}

// close ends an event stream. It reports whether there was one.
func (v *viewerStreams) close(id siaran.SessionID, name string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	e := v.byID[id][name]
	if e == nil {
		return false
	}
	if delete(v.byID[id], name); len(v.byID[id]) == 0 {
		delete(v.byID, id)
	}
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	e.poke()
	return true
}

// move tells the readers of a session that it is about to end.
func (v *viewerStreams) move(id siaran.SessionID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, e := range v.byID[id] {
		e.mu.Lock()
		e.moving = true
		e.mu.Unlock()
		e.poke()
	}
}

// sweep forgets the event streams of sessions that have ended.
func (v *viewerStreams) sweep() {
	v.mu.Lock()
	defer v.mu.Unlock()
	for id := range v.byID {
		if !v.alive(id) {
			delete(v.byID, id)
		}
	}
}

// end sends all readers away, who should come back within this time.
func (v *viewerStreams) end(within time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.over {
		return
	}
	v.over, v.back = true, within
	for _, list := range v.reading {
		for e := range list {
			e.poke()
		}
	}
}
