package web

import (
	"slices"
	"sync"
	"time"

	"siaran"
)

const maxAdminEvents = 200

// adminEvent is something that has happened on this server.
type adminEvent struct {
	ID     int               `json:"id"` // grows by one
	At     time.Time         `json:"at"`
	Kind   adminEventKind    `json:"kind"`
	Stream siaran.StreamName `json:"stream"`
	Detail string            `json:"detail,omitempty"` // a viewer, an EndReason, or why
}

type adminEventKind string

const (
	eventBegan       adminEventKind = "began"
	eventInterrupted adminEventKind = "interrupted"
	eventResumed     adminEventKind = "resumed"
	eventEnded       adminEventKind = "ended"
	eventKicked      adminEventKind = "kicked"
	eventBanned      adminEventKind = "banned"
	eventWithdrawn   adminEventKind = "withdrawn" // the right to watch or to publish
	eventKeys        adminEventKind = "keys"      // were renewed
	eventEdited      adminEventKind = "edited"
	eventDeleted     adminEventKind = "deleted"
)

// eventLog keeps the newest events in memory.
type eventLog struct {
	mu     sync.Mutex
	newest []adminEvent // the oldest first
	last   int
}

func (l *eventLog) add(kind adminEventKind, stream siaran.StreamName, detail string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.last++
	if len(l.newest) == maxAdminEvents {
		l.newest = slices.Delete(l.newest, 0, 1)
	}
	at := time.Now().UTC().Truncate(time.Millisecond)
	l.newest = append(l.newest, adminEvent{l.last, at, kind, stream, detail})
}

// list returns the events, the newest first.
func (l *eventLog) list() []adminEvent {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := slices.Clone(l.newest)
	slices.Reverse(list)
	if list == nil {
		list = []adminEvent{}
	}
	return list
}

// status notes that a broadcast's status has changed.
func (l *eventLog) status(before siaran.Status, b siaran.BroadcastState) {
	switch {
	case b.Status == siaran.StatusOffline:
		l.add(eventEnded, b.Stream, string(b.EndReason))
	case b.Status == siaran.StatusInterrupted:
		l.add(eventInterrupted, b.Stream, "")
	case before == siaran.StatusInterrupted:
		l.add(eventResumed, b.Stream, "")
	default:
		l.add(eventBegan, b.Stream, "")
	}
}
