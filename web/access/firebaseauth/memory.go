package firebaseauth

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"siaran/web/access"
)

// answer is what is known about a token or an account.
type answer struct {
	claims     access.Claims
	err        error
	validAfter time.Time // of an account: tokens issued before have been revoked
}

// memory keeps answers for a time. It is bounded: the oldest goes first. Tokens are known by their hashes, so that none
// stays in memory.
type memory struct {
	max int

	mu      sync.Mutex
	entries map[[sha256.Size]byte]*list.Element
	order   *list.List // of *entry, the newest first
}

type entry struct {
	key    [sha256.Size]byte
	answer answer
	until  time.Time
}

func newMemory(size int) *memory {
	return &memory{max: size, entries: make(map[[sha256.Size]byte]*list.Element), order: list.New()}
}

func (m *memory) get(key [sha256.Size]byte, now time.Time) (answer, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.entries[key]
	if e == nil {
		return answer{}, false
	}
	if kept := e.Value.(*entry); now.Before(kept.until) {
		return kept.answer, true
	}
	m.drop(e)
	return answer{}, false
}

func (m *memory) put(key [sha256.Size]byte, a answer, until time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.entries[key]; e != nil {
		m.drop(e)
	}
	if m.order.Len() >= m.max {
		m.drop(m.order.Back())
	}
	m.entries[key] = m.order.PushFront(&entry{key, a, until})
}

// drop forgets an entry. The caller holds mu.
func (m *memory) drop(e *list.Element) {
	delete(m.entries, m.order.Remove(e).(*entry).key)
}
