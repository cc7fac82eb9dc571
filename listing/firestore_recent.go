package listing

import (
	"sync"
	"time"

	"siaran"
)

const (
	keptRecent = 10 * time.Second
	keptOnAir  = 2 * time.Second // of what is live, which memory knows better before long
	maxRecent  = 4096            // names; any one goes for another
)

// recent is what the database has said of single streams a moment ago, also that there are none.
type recent struct {
	mu     sync.Mutex
	byName map[siaran.StreamName]lookedUp
	edits  int // how often something was forgotten
}

type lookedUp struct {
	row   streamRow
	there bool
	until time.Time
}

// begin is for put: what is read after it.
func (r *recent) begin() (edits int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.edits
}

// put keeps what was read, unless something has been edited since begin: it may be what was read.
func (r *recent) put(name siaran.StreamName, row streamRow, there bool, begun int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.edits != begun {
		return
	}
	if _, known := r.byName[name]; !known && len(r.byName) >= maxRecent {
		for other := range r.byName {
			delete(r.byName, other)
			break
		}
	}
	age := keptRecent
	if row.LeaseUntil != 0 {
		age = keptOnAir
	}
	r.byName[name] = lookedUp{row, there, time.Now().Add(age)}
}

func (r *recent) get(name siaran.StreamName) (lookedUp, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l, known := r.byName[name]
	if known && !time.Now().Before(l.until) {
		delete(r.byName, name)
		return lookedUp{}, false
	}
	return l, known
}

// forget is for what this server changes itself.
func (r *recent) forget(name siaran.StreamName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.edits++
	delete(r.byName, name)
}

// Recall is Stream as it was at most a few seconds ago, without a question to the database; ok is false when that has to be asked. It
// is for those who may ask as often as they like: what this server has changed, and what is live, they see at once.
func (f *Firestore) Recall(name siaran.StreamName) (stream siaran.Stream, there, ok bool) {
	if f.strict || f.ended.Err() != nil {
		return stream, false, false
	}
	row, live := f.mirror.live(name)
	if !live {
		l, known := f.recent.get(name)
		if !known || !l.there {
			return stream, false, known
		}
		row = l.row
	}
	stream, err := row.stream()
	return stream, true, err == nil
}
