package measure

import (
	"maps"
	"sync"
)

// Tally counts what happens now and then, by a name. Names are constants of the program, never what a client has sent,
// so that there are few. The zero value is ready for use by any goroutine.
type Tally struct {
	mu     sync.Mutex
	counts map[string]uint64
}

// Count counts one more of a name.
func (t *Tally) Count(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[string]uint64)
	}
	t.counts[name]++
}

// Snapshot returns what has been counted.
func (t *Tally) Snapshot() map[string]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.counts)
}
