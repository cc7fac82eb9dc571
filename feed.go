package siaran

import (
	"maps"
	"slices"
	"sync"
)

// Change is what has happened to one broadcast since the feed was last read.
type Change struct {
	State  BroadcastState // the current one
	Joined []Viewer
	Left   []ViewerID // never one that is in Joined; every viewer when the broadcast has ended
}

// Feed reports to one reader what changes in a hub. Changes that the reader has not taken yet are merged into the
// newest state, so a slow reader costs no memory beyond what is live.
type Feed struct {
	hub   *Hub
	ready chan struct{}

	mu      sync.Mutex
	pending map[BroadcastID]*pendingChange
	order   []BroadcastID // in the order of their first change
}

type pendingChange struct {
	state  BroadcastState
	joined map[ViewerID]Viewer
	left   map[ViewerID]struct{}
}

func (c *pendingChange) join(v Viewer) {
	delete(c.left, v.ID)
	c.joined[v.ID] = v
}

func (c *pendingChange) leave(id ViewerID) {
	if _, unseen := c.joined[id]; unseen {
		delete(c.joined, id)
		return
	}
	c.left[id] = struct{}{}
}

// Feed opens a feed. Its first changes describe everything that is live now. The caller closes it.
func (h *Hub) Feed() *Feed {
	f := &Feed{hub: h, ready: make(chan struct{}, 1), pending: make(map[BroadcastID]*pendingChange)}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.feeds = append(h.feeds, f)
	for _, b := range h.broadcasts {
		if b.started.IsZero() {
			continue
		}
		f.add(b.state(), func(c *pendingChange) {
			for _, v := range b.viewers {
				c.join(v)
			}
		})
	}
	return f
}

// notify adds a change to all feeds. The caller holds h.mu.
func (h *Hub) notify(b *Broadcast, edit func(*pendingChange)) {
	if b.started.IsZero() {
		return
	}
	state := b.state()
	for _, f := range h.feeds {
		f.add(state, edit)
	}
}

func (f *Feed) add(state BroadcastState, edit func(*pendingChange)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.pending[state.ID]
	if c == nil {
		c = &pendingChange{joined: make(map[ViewerID]Viewer), left: make(map[ViewerID]struct{})}
		f.pending[state.ID] = c
		f.order = append(f.order, state.ID)
	}
	c.state = state
	if edit != nil {
		edit(c)
	}
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

// Ready returns a channel that receives when there is something to take.
func (f *Feed) Ready() <-chan struct{} { return f.ready }

// Take returns what has changed since the last call, in the order of the first changes.
func (f *Feed) Take() []Change {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]Change, 0, len(f.order))
	for _, id := range f.order {
		c := f.pending[id]
		list = append(list, Change{
			State:  c.state,
			Joined: slices.Collect(maps.Values(c.joined)),
			Left:   slices.Collect(maps.Keys(c.left)),
		})
	}
	clear(f.pending)
	f.order = nil
	return list
}

// Close detaches the feed from its hub.
func (f *Feed) Close() {
	f.hub.mu.Lock()
	defer f.hub.mu.Unlock()
	f.hub.feeds = slices.DeleteFunc(f.hub.feeds, func(o *Feed) bool { return o == f })
}
