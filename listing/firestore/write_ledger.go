package firestore

import (
	"sync"
	"time"

	"siaran"
)

const maxWritten = 10_000 // broadcasts in the ledger

// writtenState is what this server has written about a broadcast.
type writtenState struct {
	node    string
	state   siaran.BroadcastState
	shown   bool      // the stream's document is about it; otherwise it is about a newer broadcast
	over    bool      // nothing that comes later counts
	updated time.Time // of the stream's document, by the database's clock
}

// writeLedger remembers what has been written, so that only differences are written again.
type writeLedger struct {
	mu   sync.Mutex
	byID map[siaran.BroadcastID]writtenState
}

func (l *writeLedger) get(id siaran.BroadcastID) (writtenState, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w, ok := l.byID[id]
	return w, ok
}

func (l *writeLedger) put(w writtenState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.byID[w.state.ID]; !there && len(l.byID) >= maxWritten {
		for id := range l.byID { // any one: what is not in the ledger is looked up
			delete(l.byID, id)
			break
		}
	}
	l.byID[w.state.ID] = w
}

// forget makes everything of a node be written again.
func (l *writeLedger) forget(node string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, w := range l.byID {
		if w.node == node {
			delete(l.byID, id)
		}
	}
}

// written returns what has been written of a node's broadcast, if that still holds.
func (f *Listing) written(id siaran.BroadcastID, node string) (writtenState, bool) {
	w, ok := f.ledger.get(id)
	return w, ok && w.node == node && !(f.strict && !w.over) && !f.mirror.replaced(w)
}
