package mediaport

import (
	"encoding/binary"
	"slices"
)

// maxRecent is how many ids are remembered. An agent with one path sends so many checks in ten minutes.
const maxRecent = 256

// RecentIDs remembers the newest transaction ids of a session's genuine checks, so that each counts once: a check can
// be captured and sent again from anywhere. Only who knows the session's password can make it forget. The zero value is
// empty. It may not be used by several goroutines at the same time.
type RecentIDs struct {
	ids  []uint64 // the first eight bytes of each
	next int      // to be replaced
}

// Add remembers an id and reports whether it is new.
func (r *RecentIDs) Add(id TransactionID) bool {
	short := binary.BigEndian.Uint64(id[:])
	if slices.Contains(r.ids, short) {
		return false
	}
	if len(r.ids) < maxRecent {
		r.ids = append(r.ids, short)
		return true
	}
	r.ids[r.next] = short
	r.next = (r.next + 1) % maxRecent
	return true
}
