package listing

import (
	"maps"
	"slices"
	"sync"
	"time"

	"siaran"
)

const (
	countPause  = time.Second // the pause of a listing that is no WritePacer
	maxRecords  = 1000        // joins and leaves in one update
	minRecords  = 50          // the same, of a listing that is slow
	maxUrgent   = 100         // broadcasts whose status changes, in one update; each may need a transaction
	maxLeaves   = 2000        // not written yet; with more, everything is written again
	moreLeaves  = 50_000      // the same, for a listing in which that costs too much
	maxFinished = 10_000      // broadcasts that have ended and are not written yet
)

// backlog holds what the hub has reported and what of it the listing does not know yet. It keeps everything that lives,
// so that it can be written again, and what has gone until that is written. One goroutine feeds and writes it; others
// may ask it.
type backlog struct {
	pause  time.Duration // between two writes about one broadcast while its status stays the same
	leaves int           // kept, before everything is written again

	mu      sync.Mutex
	portion int      // joins and leaves in one update, as the listing can take them
	entries []*entry // in the order of their beginnings: the end of one broadcast is written before its stream's next
	byID    map[siaran.BroadcastID]*entry
}

func newBacklog() *backlog {
	return &backlog{pause: countPause, portion: maxRecords, leaves: maxLeaves, byID: make(map[siaran.BroadcastID]*entry)}
}

// add takes changes of the feed. What comes from another server is that server's to write. It reports whether a
// broadcast has moved to another server, so that what is listed of its viewers here is to be removed.
func (b *backlog) add(changes []siaran.Change) (moved bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range changes {
		e := b.byID[c.State.ID]
		if c.State.Pulled {
			b.forget(func(known *entry) bool { return known == e })
			moved = moved || e != nil
			continue
		}
		if e == nil {
			e = &entry{
				urgent:  true,
				viewers: make(map[siaran.ViewerID]siaran.Viewer),
				joined:  make(map[siaran.ViewerID]bool), left: make(map[siaran.ViewerID]struct{}),
			}
			b.stayed(c)
			b.byID[c.State.ID] = e
			b.entries = append(b.entries, e)
		}
		e.add(c)
	}
	return moved
}

// stayed takes the first change of a broadcast. Viewers who stayed for it have not left, as the end of the broadcast
// before it said: written late, that would remove them.
func (b *backlog) stayed(c siaran.Change) {
	for _, e := range b.entries {
		if e.state.Stream != c.State.Stream {
			continue
		}
		for _, v := range c.Joined {
			delete(e.left, v.ID)
		}
	}
}

// due returns when the next entry may be written; false when there is nothing to write.
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

// next returns what to write now, within limits; nil when nothing is due.
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

// byUrgency puts entries whose status has changed before those with joins and leaves alone, which may be many.
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

// failed makes the next update smaller: the listing may be slow.
func (b *backlog) failed() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portion = max(b.portion/2, minRecords)
}

// wrote forgets what next has returned, which the listing knows now.
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

// pressing reports whether a status has changed and is not written yet.
func (b *backlog) pressing() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.ContainsFunc(b.entries, func(e *entry) bool { return e.urgent && e.dirty })
}

// hurry keeps the next update small: little more than what is pressing.
func (b *backlog) hurry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.portion = min(b.portion, maxUrgent)
}

// restart marks all broadcasts to be written again. With viewers it marks all viewers too, for a listing that knows
// nothing of this node any more.
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
		e.soil()
		e.urgent = true
	}
}

// living returns the broadcasts that have not ended.
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

// forgetLeaves forgets the viewers who have left, because the listing will be searched for them.
func (b *backlog) forgetLeaves() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		clear(e.left)
	}
}

// knows reports whether someone watches, or has left and that is not written yet.
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

// believed returns the viewers who should be in the listing.
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

// lacking marks those of missing who still watch to be written again.
func (b *backlog) lacking(missing map[siaran.ViewerID]bool) {
	if len(missing) == 0 {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, e := range b.entries {
		for id := range e.viewers {
			if missing[id] {
				e.joined[id] = true
				e.soil()
			}
		}
	}
}

// trim limits a backlog that cannot be written. It returns how many ended broadcasts were dropped, and whether more
// viewers have left than are worth writing one by one.
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

// audience returns how many watch on this node.
func (b *backlog) audience() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for e := range maps.Values(b.byID) {
		n += len(e.viewers)
	}
	return n
}
