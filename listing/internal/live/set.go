package live

import (
	"context"
	"slices"
	"time"

	"siaran"
)

// The pace of the change feeds.
const (
	WatchPause = 50 * time.Millisecond  // minimum between two sets
	WatchTick  = 250 * time.Millisecond // how late an expired lease may be noticed
)

// Set is all that is public and live at one moment, in the order in which it is listed. It never changes.
type Set struct {
	streams []siaran.Stream
	byName  map[siaran.StreamName]siaran.Stream
	next    chan struct{} // closed when there is a newer set or none any more
}

// NewSet returns the set of streams, which it keeps.
func NewSet(streams []siaran.Stream) *Set {
	s := &Set{streams: streams, byName: make(map[siaran.StreamName]siaran.Stream, len(streams)), next: make(chan struct{})}
	for _, stream := range streams {
		s.byName[stream.Name] = stream
	}
	return s
}

// Holds reports whether the set is of exactly these streams, in this order.
func (s *Set) Holds(streams []siaran.Stream) bool {
	return slices.EqualFunc(s.streams, streams, siaran.Stream.Equal)
}

// Supersede tells the watchers of the set to ask for the newest one. It is called once.
func (s *Set) Supersede() { close(s.next) }

// Watch calls snapshot for the set, and event for each difference in the sets that follow, until ctx or the listing
// ends.
func (s *Set) Watch(ctx context.Context, ended <-chan struct{}, newest func() (*Set, error),
	snapshot func([]siaran.Stream), event func(siaran.StreamEvent),
) error {
	snapshot(slices.Clone(s.streams))
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return siaran.ErrClosed
		case <-s.next:
		}
		next, err := newest()
		if err != nil {
			return err
		}
		next.differences(s, event)
		s = next
	}
}

// differences calls event for each stream that is not as it was in the set before.
func (s *Set) differences(before *Set, event func(siaran.StreamEvent)) {
	for _, stream := range before.streams {
		if _, still := s.byName[stream.Name]; !still {
			event(siaran.StreamEvent{Stream: offline(stream), Gone: true})
		}
	}
	for _, stream := range slices.Backward(s.streams) { // oldest first: a reader who puts each on top gets the order
		if was, there := before.byName[stream.Name]; !there || !was.Equal(stream) {
			event(siaran.StreamEvent{Stream: stream})
		}
	}
}
