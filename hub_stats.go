package siaran

import (
	"cmp"
	"errors"
	"maps"
	"slices"
)

// HubStats counts what a hub holds and has held.
type HubStats struct {
	Starting, Live, Interrupted int // broadcasts; those that are starting have no media yet
	Kept                        int // broadcasts that are over and keep their viewers for the next one
	Pulled                      int // of the live and interrupted ones, those that come from another server
	Viewers                     int // here, and at servers that pass broadcasts on
	Below                       int // of these, at servers that pass broadcasts on

	Began   uint64               // broadcasts that have had media
	Ended   map[EndReason]uint64 // those that are over
	Written LayerStats           // by broadcasters, into the layers of all broadcasts

	Memory, MemoryLimit int64 // bytes that rings have taken; a limit of 0 means that there is none
}

// Stats returns the counters.
func (h *Hub) Stats() HubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HubStats{Began: h.began, Ended: maps.Clone(h.endings), Written: h.written}
	for _, b := range h.broadcasts {
		switch {
		case b.kept():
			s.Kept++
		case b.started.IsZero():
			s.Starting++
		case b.status == StatusLive:
			s.Live++
		default:
			s.Interrupted++
		}
		if b.pulled() && !b.started.IsZero() {
			s.Pulled++
		}
		all := b.audience()
		s.Viewers += all
		s.Below += all - len(b.viewers)
		for _, t := range b.tracks() {
			for _, l := range t.Layers {
				s.Written.add(l.Stats())
			}
		}
	}
	if h.memory != nil {
		s.MemoryLimit = h.memory.all
		s.Memory = h.memory.all - h.memory.free.Load()
	}
	return s
}

// retire counts the end of a broadcast that has had media. The caller holds h.mu.
func (h *Hub) retire(b *Broadcast, reason EndReason) {
	if b.started.IsZero() {
		return
	}
	if h.endings == nil {
		h.endings = make(map[EndReason]uint64)
	}
	h.endings[reason]++
}

// States describes the broadcasts that are live or interrupted, in the order in which they began.
func (h *Hub) States() []BroadcastState {
	h.mu.Lock()
	defer h.mu.Unlock()
	var list []BroadcastState
	for _, b := range h.broadcasts {
		if !b.started.IsZero() {
			list = append(list, b.state())
		}
	}
	slices.SortFunc(list, func(a, b BroadcastState) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), cmp.Compare(a.Stream, b.Stream))
	})
	return list
}

func (s *LayerStats) add(o LayerStats) {
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Lost += o.Lost
	s.Keyframes += o.Keyframes
	s.Backward += o.Backward
}

// Refusals are the names that Refusal gives.
var Refusals = []string{
	"not_live", "malformed", "unacceptable", "taken", "contested", "full", "share", "closing", "stream_full", "banned",
	"other",
}

// Refusal is a short name, one of Refusals, for the reason why no session was opened.
func Refusal(err error) string {
	for i, known := range []error{
		ErrNotLive, ErrMalformedOffer, ErrUnacceptable, ErrStreamTaken, ErrContested, ErrTooManySessions, ErrShare, ErrClosed,
		ErrStreamFull, ErrBanned,
	} {
		if errors.Is(err, known) {
			return Refusals[i]
		}
	}
	return "other"
}

// Written sums up what has been written to the layers of a stream's broadcast; false if there is none.
func (h *Hub) Written(stream StreamName) (sum LayerStats, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	b := h.broadcasts[stream]
	if b == nil {
		return sum, false
	}
	for _, t := range b.tracks() {
		for _, l := range t.Layers {
			sum.add(l.Stats())
		}
	}
	return sum, true
}
