package siaran

import "sync/atomic"

// The memory that a broadcast gets for its rings. Each layer may always use its floor, however much others hold.
const (
	videoFloor        = 512 << 10 // bytes of packets that a layer may always keep
	audioFloor        = 64 << 10
	grantBytes        = 256 << 10 // unit in which a layer takes and returns memory, so that most packets need not ask
	packetCost        = 128       // bytes in addition to the payload
	slotBytes         = 8         // bytes of an empty ring for each packet that it has room for
	maxBroadcastBytes = 64 << 20  // bytes that one broadcast may hold
	broadcastDivisor  = 16        // one broadcast may hold this fraction of all memory
	minBroadcastBytes = 8 << 20   // bytes that one broadcast may hold, however little memory there is
)

// budget is the memory that may still be used, in bytes. What is taken from it is taken from its parent too.
type budget struct {
	free   atomic.Int64
	all    int64
	parent *budget // may be nil
}

func newBudget(bytes int64, parent *budget) *budget {
	b := &budget{all: bytes, parent: parent}
	b.free.Store(bytes)
	return b
}

// take takes n bytes, or nothing, and reports whether it has.
func (b *budget) take(n int) bool {
	for {
		free := b.free.Load()
		if free < int64(n) {
			return false
		}
		if b.free.CompareAndSwap(free, free-int64(n)) {
			break
		}
	}
	if b.parent != nil && !b.parent.take(n) {
		b.free.Add(int64(n))
		return false
	}
	return true
}

func (b *budget) give(n int) {
	b.free.Add(int64(n))
	if b.parent != nil {
		b.parent.give(n)
	}
}

// LimitMemory bounds what all layers of the hub keep, in bytes; by default there is no bound. One broadcast may hold a
// sixteenth of it, but no less than 8 MiB and no more than 64 MiB. The first call must come before the first Publish.
// After a later one, broadcasts that have begun keep their own bounds, and what is held above the new one is returned
// as packets grow old.
func (h *Hub) LimitMemory(bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.memory == nil {
		h.memory = newBudget(bytes, nil)
		return
	}
	h.memory.free.Add(bytes - h.memory.all)
	h.memory.all = bytes
}

// share returns the budget of a new broadcast. The caller holds h.mu.
func (h *Hub) share() *budget {
	if h.memory == nil {
		return newBudget(1<<62, nil)
	}
	all := h.memory.all
	return newBudget(min(all, max(minBroadcastBytes, min(maxBroadcastBytes, all/broadcastDivisor))), h.memory)
}
