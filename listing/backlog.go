package listing

import (
	"maps"
	"slices"
	"sync"
	"time"

	"siaran"
)

const (
	countPause   = time.Second // at least, between two writes about one broadcast whose status stays, unless the listing says otherwise
	maxRecords   = 1000        // joins and leaves in one update
	leastRecords = 50          // of a listing that is slow
	maxUrgent    = 100         // broadcasts whose status changes, in one update; each may need a transaction
	maxLeaves    = 2000        // not written yet; with more, all is written anew
	moreLeaves   = 50_000      // for a listing in which that is dear
	maxFinished  = 10_000      // broadcasts that have ended and are not written yet
)

// backlog knows what the hub has told and what of it the listing does not know yet. What
// lives is kept whole, so that it can be written anew; what has gone only until that is written.
// It is fed and written by one goroutine, and others may ask it.
type backlog struct {
	pause  time.Duration // at least, between two writes about one broadcast whose status stays
	leaves int           // kept before all is written anew

	mu      sync.Mutex
	portion int      // joins and leaves in one update, as the listing can take them
	entries []*entry // as they began, so that the end of one broadcast is written before its stream's next
	byID    map[siaran.BroadcastID]*entry
}

type entry struct {
	state   siaran.BroadcastState
	viewers map[siaran.ViewerID]siaran.Viewer // who watch now

	joined  map[siaran.ViewerID]bool // to be written; true when that has been tried, with what result nobody knows
	left    map[siaran.ViewerID]struct{}
	dirty   bool // the state is to be written
	urgent  bool // at once
	written time.Time
}

func newBacklog() *backlog {
	return &backlog{pause: countPause, portion: maxRecords, leaves: maxLeaves, byID: make(map[siaran.BroadcastID]*entry)}
}

// add takes what the feed says.
func (b *backlog) add(changes []siaran.Change) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		e := b.byID[c.State.ID]
		if e == nil {
			e = &entry{
				urgent:  true,
				viewers: make(map[siaran.ViewerID]siaran.Viewer),
				joined:  make(map[siaran.ViewerID]bool), left: make(map[siaran.ViewerID]struct{}),
			}
			b.byID[c.State.ID] = e
			b.entries = append(b.entries, e)
		}
		e.add(c)
	}
}

func (e *entry) add(c siaran.Change) {
	if !sameButCounts(e.state, c.State) {
		e.urgent = true
	}
	e.state, e.dirty = c.State, true
	for _, v := range c.Joined {
		e.viewers[v.ID] = v
		e.joined[v.ID] = false
	}
	for _, id := range c.Left {
		delete(e.viewers, id)
		tried, unwritten := e.joined[id]
		delete(e.joined, id)
		if tried || !unwritten {
			e.left[id] = struct{}{}
		}
	}
}

func sameButCounts(a, b siaran.BroadcastState) bool {
	return a.Status == b.Status && a.EndReason == b.EndReason && same(a.Video, b.Video) && same(a.Audio, b.Audio) && slices.Equal(a.Layers, b.Layers)
}

func same[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func (e *entry) over() bool { return e.state.Status == siaran.StatusOffline }

// due is when the entry may be written; false when there is nothing to write.
func (e *entry) due(pause time.Duration) (time.Time, bool) {
	switch {
	case !e.dirty:
		return time.Time{}, false
	case e.urgent, e.over():
		return time.Time{}, true
	}
	return e.written.Add(pause), true
}

// due is when the next entry may be written.
func (b *backlog) due() (earliest time.Time, any bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if at, dirty := e.due(b.pause); dirty && (!any || at.Before(earliest)) {
			earliest, any = at, true
		}
	}
	return earliest, any
}

// part is what of an entry goes into one update.
type part struct {
	entry  *entry
	change siaran.Change
}

// next is what to write now, within bounds, and nil when nothing is due.
func (b *backlog) next(now time.Time) []part {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []part
	room, urgent := b.portion, 0
	for _, e := range b.byUrgency() {
		if at, dirty := e.due(b.pause); !dirty || at.After(now) {
			continue
		}
		if e.urgent {
			urgent++
		}
		if room <= 0 || len(parts) >= b.portion || urgent > maxUrgent {
			break
		}
		parts = append(parts, part{e, siaran.Change{State: e.state}})
		room -= e.share()
	}
	for i := range parts {
		room = parts[i].fill(room)
	}
	return parts
}

// share is how many joins and leaves an update takes of an entry at the least: a stream with many must hold up no other. Of those
// who leave with a broadcast's end, one is named with it: naming none would say that they are not known.
func (e *entry) share() int {
	least := leastRecords
	if e.urgent {
		least = 1
	}
	return min(len(e.joined)+len(e.left), least)
}

// fill takes the entry's share, and of what is left of room as much as it can; it returns what remains.
func (p *part) fill(room int) int {
	e, share := p.entry, p.entry.share()
	quota := max(room, 0) + share
	for id := range e.joined {
		if len(p.change.Joined) == quota {
			break
		}
		e.joined[id] = true
		p.change.Joined = append(p.change.Joined, e.viewers[id])
	}
	for id := range e.left {
		if len(p.change.Joined)+len(p.change.Left) == quota {
			break
		}
		p.change.Left = append(p.change.Left, id)
	}
	return room + share - len(p.change.Joined) - len(p.change.Left)
}

// byUrgency has what changes a stream go before mere comings and goings, which may be many.
func (b *backlog) byUrgency() []*entry {
	if !slices.ContainsFunc(b.entries, func(e *entry) bool { return e.urgent && e.dirty }) {
		return b.entries
	}
	list := make([]*entry, 0, len(b.entries))
	for _, urgent := range []bool{true, false} {
		for _, e := range b.entries {
			if e.urgent == urgent {
				list = append(list, e)
			}
		}
	}
	return list
}

// failed has the next update be smaller: the listing may be slow.
func (b *backlog) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portion = max(b.portion/2, leastRecords)
}

// wrote forgets what next has given, which the listing knows now.
func (b *backlog) wrote(parts []part, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portion = min(2*b.portion, maxRecords)
	for _, p := range parts {
		e := p.entry
		for _, v := range p.change.Joined {
			delete(e.joined, v.ID)
		}
		for _, id := range p.change.Left {
			delete(e.left, id)
		}
		e.dirty = len(e.joined)+len(e.left) > 0 // the rest of what did not fit goes next
		e.urgent = false
		if !e.dirty {
			e.written = now
		}
	}
	b.forget(func(e *entry) bool { return e.over() && !e.dirty })
}

func (b *backlog) forget(gone func(*entry) bool) {
	b.entries = slices.DeleteFunc(b.entries, func(e *entry) bool {
		if gone(e) {
			delete(b.byID, e.state.ID)
			return true
		}
		return false
	})
}

// pressing tells whether a status has changed that is not written yet.
func (b *backlog) pressing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.entries, func(e *entry) bool { return e.urgent && e.dirty })
}

// hurry has the next update hold little more than what is pressing.
func (b *backlog) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portion = min(b.portion, maxUrgent)
}

// restart has all broadcasts written anew; with viewers, also all who watch, to a listing that knows nothing of this node any more.
func (b *backlog) restart(viewers bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		if viewers {
			clear(e.left)
			for id := range e.viewers {
				e.joined[id] = true
			}
		}
		e.dirty, e.urgent = true, true
	}
}

// living are the broadcasts that live.
func (b *backlog) living() map[siaran.BroadcastID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make(map[siaran.BroadcastID]bool)
	for _, e := range b.entries {
		if !e.over() {
			list[e.state.ID] = true
		}
	}
	return list
}

// forgetLeaves is for when the listing is looked through for them.
func (b *backlog) forgetLeaves() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		clear(e.left)
	}
}

// knows tells whether someone watches, or has left and that is still to be written.
func (b *backlog) knows(broadcast siaran.BroadcastID, id siaran.ViewerID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	e := b.byID[broadcast]
	if e == nil {
		return false
	}
	_, watches := e.viewers[id]
	_, leaves := e.left[id]
	return watches || leaves
}

// believed are those who watch and should be in the listing.
func (b *backlog) believed() map[siaran.ViewerID]bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	list := make(map[siaran.ViewerID]bool)
	for _, e := range b.entries {
		for id := range e.viewers {
			if _, unwritten := e.joined[id]; !unwritten {
				list[id] = true
			}
		}
	}
	return list
}

// lacking has those of missing who still watch written again.
func (b *backlog) lacking(missing map[siaran.ViewerID]bool) {
	if len(missing) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		for id := range e.viewers {
			if missing[id] {
				e.joined[id], e.dirty = true, true
			}
		}
	}
}

// trim keeps a backlog that cannot be written bounded. It returns how many broadcasts were
// given up, and whether more viewers have left than are worth being told one by one.
func (b *backlog) trim() (lost int, overflow bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	finished, leaves := 0, 0
	for _, e := range b.entries {
		leaves += len(e.left)
		if e.over() {
			finished++
		}
	}
	if finished > maxFinished {
		b.forget(func(e *entry) bool {
			if e.over() && finished > maxFinished {
				finished--
				lost++
				return true
			}
			return false
		})
	}
	return lost, leaves > b.leaves
}

// audience is how many watch on this node.
func (b *backlog) audience() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for e := range maps.Values(b.byID) {
		n += len(e.viewers)
	}
	return n
}
