package webhook

import (
	"maps"
	"slices"
	"time"

	"siaran"
)

const (
	batchEvery     = time.Second      // between messages about the viewers of one broadcast
	batchWhileLong = 10 * time.Second // the same, while many messages wait
	mostInBatch    = 500              // viewers in one message
)

// tracker turns what a hub's feed says into messages. It has no clock and no goroutine.
type tracker struct {
	node  string
	known map[siaran.BroadcastID]*tracked
}

// tracked is a broadcast that has not ended.
type tracked struct {
	data   streamData // as last seen
	status siaran.Status
	silent bool      // it comes from another server, which tells of it
	lostAt time.Time // of one that an earlier process has told of: when it counts as ended; else zero

	batch   []joined
	left    []siaran.ViewerID
	batchAt time.Time // of the first change in it
}

func newTracker(node string) *tracker {
	return &tracker{node: node, known: make(map[siaran.BroadcastID]*tracked)}
}

// remember adds a broadcast that an earlier process has told of. It counts as ended at lostAt, unless the hub has it by
// then.
func (t *tracker) remember(data streamData, lostAt time.Time) {
	t.known[data.Broadcast] = &tracked{data: data, status: siaran.StatusInterrupted, lostAt: lostAt}
}

// add takes one change of the feed.
func (t *tracker) add(c siaran.Change, now time.Time) []message {
	s := c.State
	var list []message
	b := t.known[s.ID]
	if b == nil {
		list = t.replaced(s, now)
		b = &tracked{silent: s.Pulled, status: siaran.StatusLive}
		t.known[s.ID] = b
		b.data = newStreamData(t.node, s)
		b.data.EndedAt, b.data.Reason = time.Time{}, "" // it may have ended meanwhile
		list = append(list, b.event(streamStarted, s.StartedAt)...)
	}
	b.data, b.lostAt = newStreamData(t.node, s), time.Time{}
	b.silent = s.Pulled // it may move from here to another server, and back
	list = append(list, b.change(c, now)...)
	if over := !s.EndedAt.IsZero(); over {
		list = append(list, b.flush(now)...)
		list = append(list, b.event(streamEnded, s.EndedAt)...)
		delete(t.known, s.ID)
		return list
	}
	switch {
	case s.Status == siaran.StatusInterrupted && b.status == siaran.StatusLive:
		list = append(list, b.flush(now)...)
		list = append(list, b.event(streamInterrupted, now)...)
	case s.Status == siaran.StatusLive && b.status == siaran.StatusInterrupted:
		list = append(list, b.flush(now)...)
		list = append(list, b.event(streamResumed, now)...)
	}
	b.status = s.Status
	return list
}

// change adds viewers to the batch, and returns it when it is full.
func (b *tracked) change(c siaran.Change, now time.Time) []message {
	if len(c.Joined)+len(c.Left) == 0 {
		return nil
	}
	if len(b.batch)+len(b.left) == 0 {
		b.batchAt = now
	}
	for _, v := range c.Joined {
		b.batch = append(b.batch, joined{v.ID, v.JoinedAt.UTC(), v.Path})
	}
	b.left = append(b.left, c.Left...)
	if len(b.batch)+len(b.left) >= mostInBatch {
		return b.flush(now)
	}
	return nil
}

// flush returns the batch, in messages of a bounded size. Who joined comes before who left.
func (b *tracked) flush(now time.Time) []message {
	var list []message
	for len(b.batch)+len(b.left) > 0 {
		n := min(len(b.batch), mostInBatch)
		m := min(len(b.left), mostInBatch-n)
		list = append(list, newMessage(viewersChanged, b.data.Stream, now, viewersData{
			Node: b.data.Node, Stream: b.data.Stream, Broadcast: b.data.Broadcast,
			Joined: append([]joined{}, b.batch[:n]...), Left: append([]siaran.ViewerID{}, b.left[:m]...),
			Viewers: b.data.Viewers,
		}))
		b.batch, b.left = b.batch[n:], b.left[m:]
	}
	b.batch, b.left = nil, nil
	return list
}

func (b *tracked) event(kind string, at time.Time) []message {
	if b.silent {
		return nil
	}
	return []message{newMessage(kind, b.data.Stream, at, b.data)}
}

// replaced ends what an earlier process has told of a stream that begins another broadcast now.
func (t *tracker) replaced(s siaran.BroadcastState, now time.Time) []message {
	var list []message
	for id, b := range t.known {
		if b.data.Stream == s.Stream && !b.lostAt.IsZero() {
			list = append(list, t.lose(id, b, now)...)
		}
	}
	return list
}

// lose ends a broadcast that an earlier process did not live to end.
func (t *tracker) lose(id siaran.BroadcastID, b *tracked, now time.Time) []message {
	delete(t.known, id)
	b.data.EndedAt, b.data.Reason, b.data.Viewers = now.UTC(), siaran.EndCrashed, 0
	return b.event(streamEnded, now)
}

// due returns the messages whose time has come; pause is how long viewers are gathered.
func (t *tracker) due(now time.Time, pause time.Duration) []message {
	var list []message
	for id, b := range t.known {
		switch {
		case !b.lostAt.IsZero() && !now.Before(b.lostAt):
			list = append(list, t.lose(id, b, now)...)
		case len(b.batch)+len(b.left) > 0 && !now.Before(b.batchAt.Add(pause)):
			list = append(list, b.flush(now)...)
		}
	}
	return list
}

// wakeAt returns when due has something to return, or zero.
func (t *tracker) wakeAt(pause time.Duration) time.Time {
	var first time.Time
	for _, b := range t.known {
		at := b.lostAt
		if len(b.batch)+len(b.left) > 0 {
			at = b.batchAt.Add(pause)
		}
		if !at.IsZero() && (first.IsZero() || at.Before(first)) {
			first = at
		}
	}
	return first
}

// flushAll returns all batches, however young.
func (t *tracker) flushAll(now time.Time) []message {
	var list []message
	for _, b := range t.known {
		list = append(list, b.flush(now)...)
	}
	return list
}

// living returns the broadcasts that a later process must end if it does not find them.
func (t *tracker) living() []streamData {
	list := []streamData{}
	for b := range maps.Values(t.known) {
		if !b.silent {
			list = append(list, b.data)
		}
	}
	slices.SortFunc(list, func(a, b streamData) int { return a.StartedAt.Compare(b.StartedAt) })
	return list
}
