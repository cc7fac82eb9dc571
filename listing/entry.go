package listing

import (
	"time"

	"siaran"
)

// entry is a broadcast in the backlog.
//
// The states of a viewer, by the sets of its entry that it is in:
//
//	  Joined                    next                      wrote
//	─────────► viewers,joined ────────► viewers,joined* ─────────► viewers
//	               │ Left                   │ Left                    │ Left
//	               ▼                        ▼                         ▼
//	           forgotten                   left ◄──────────────────────
//	                                        │ next, wrote
//	                                        ▼
//	                                    forgotten
//
// joined* is true in the map: an update with the viewer has been tried, with unknown result if it failed. restart and
// lacking put viewers back to joined*.
type entry struct {
	state   siaran.BroadcastState
	viewers map[siaran.ViewerID]siaran.Viewer // who watch now

	joined  map[siaran.ViewerID]bool // to be written; true when that has been tried, with unknown result
	left    map[siaran.ViewerID]struct{}
	dirty   bool      // the state is to be written
	since   time.Time // when it became dirty
	urgent  bool      // at once
	written time.Time
}

func (e *entry) add(c siaran.Change) {
	if !e.state.SameButCounts(c.State) {
		e.urgent = true
	}
	e.state = c.State
	e.soil()
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

// soil notes that the state is to be written.
func (e *entry) soil() {
	if !e.dirty {
		e.dirty, e.since = true, time.Now()
	}
}

func (e *entry) over() bool { return e.state.Status == siaran.StatusOffline }

// due returns when the entry may be written; false when there is nothing to write.
func (e *entry) due(pause time.Duration) (time.Time, bool) {
	switch {
	case !e.dirty:
		return time.Time{}, false
	case e.urgent, e.over():
		return time.Time{}, true
	}
	return e.written.Add(pause), true
}

// part is the part of an entry that goes into one update.
type part struct {
	entry  *entry
	change siaran.Change
}

// share returns the minimum number of joins and leaves that an update takes of an entry, so that a stream with many
// does not delay others. An urgent entry has one at least: the end of a broadcast without any leaves would say that its
// viewers are not known.
func (e *entry) share() int {
	least := minRecords
	if e.urgent {
		least = 1
	}
	return min(len(e.joined)+len(e.left), least)
}

// fill takes the entry's share, and as much as it can of the room that is left. It returns what remains of the room.
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
