package webhook

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"siaran"
)

const (
	mostMessages = 100_000  // that wait for one receiver
	mostBytes    = 64 << 20 // of them
	mostInMemory = 4 << 20  // bytes of those that could not be written to the file
	mostAtOnce   = 4        // requests to one receiver

	firstPause = time.Second // after a failure; doubled with each further one
	lastPause  = time.Minute // of a receiver
	lastWait   = 5 * time.Minute
)

// item is a message in a queue.
type item struct {
	seq     int64 // in the file; 0: it is not there, and body has it
	id      string
	at      time.Time
	viewers bool
	size    int
	body    []byte
}

// lane is what waits about one stream, in order.
type lane struct {
	items  []item
	busy   bool // the first is being sent
	failed int  // how often the first has been answered with an error
	next   time.Time
}

// queue is what waits for one receiver.
type queue struct {
	wake chan struct{} // holds one element: look again
	most int           // messages

	mu       sync.Mutex
	lanes    map[siaran.StreamName]*lane
	count    int
	bytes    int
	inMemory int // bytes
	busy     int
	failures int       // of the receiver, one after the other
	next     time.Time // when the receiver may be tried again
	jitter   func(time.Duration) time.Duration
}

func newQueue(jitter func(time.Duration) time.Duration) *queue {
	return &queue{
		wake: make(chan struct{}, 1), most: mostMessages, lanes: make(map[siaran.StreamName]*lane), jitter: jitter,
	}
}

// add puts a message at the end of its lane. It returns what had to go to make room.
func (q *queue) add(stream siaran.StreamName, it item) (dropped []item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[stream]
	if l == nil {
		l = &lane{}
		q.lanes[stream] = l
	}
	l.items = append(l.items, it)
	q.hold(it, 1)
	if q.count > q.most || q.bytes > mostBytes || q.inMemory > mostInMemory {
		dropped = q.makeRoom()
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return dropped
}

func (q *queue) hold(it item, sign int) {
	q.count += sign
	q.bytes += sign * it.size
	q.inMemory += sign * len(it.body)
}

// makeRoom drops the oldest batches of viewers, and only when there are none, the oldest others, until a twentieth of
// the queue is free. The caller holds q.mu.
func (q *queue) makeRoom() (dropped []item) {
	gone := make(map[string]bool)
	for _, viewers := range []bool{true, false} {
		for _, it := range q.oldest(viewers) {
			if !q.crowded() {
				break
			}
			q.hold(it, -1)
			gone[it.id] = true
			dropped = append(dropped, it)
		}
	}
	for stream, l := range q.lanes {
		l.items = slices.DeleteFunc(l.items, func(it item) bool { return gone[it.id] })
		q.tidy(stream, l)
	}
	return dropped
}

// oldest returns what may be dropped, the oldest first. The caller holds q.mu.
func (q *queue) oldest(viewers bool) []item {
	var list []item
	for _, l := range q.lanes {
		for i, it := range l.items {
			if it.viewers == viewers && !(i == 0 && l.busy) {
				list = append(list, it)
			}
		}
	}
	slices.SortFunc(list, item.compare)
	return list
}

func (q *queue) crowded() bool {
	const part, of = 19, 20
	return of*q.count > part*q.most || of*q.bytes > part*mostBytes || of*q.inMemory > part*mostInMemory
}

func (q *queue) tidy(stream siaran.StreamName, l *lane) {
	if len(l.items) == 0 {
		delete(q.lanes, stream)
	}
}

// take returns the oldest message that may be sent now. If there is none, it returns when to ask again, or zero: when
// the queue wakes.
func (q *queue) take(now time.Time) (stream siaran.StreamName, it item, ok bool, again time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.busy > 0 && q.failures > 0: // one at a time, until the receiver has taken one
		return "", item{}, false, time.Time{}
	case now.Before(q.next):
		return "", item{}, false, q.next
	}
	var best *lane
	for name, l := range q.lanes {
		switch {
		case l.busy:
		case now.Before(l.next):
			if again.IsZero() || l.next.Before(again) {
				again = l.next
			}
		case best == nil || l.items[0].compare(best.items[0]) < 0:
			best, stream = l, name
		}
	}
	if best == nil {
		return "", item{}, false, again
	}
	best.busy = true
	q.busy++
	return stream, best.items[0], true, time.Time{}
}

func (a item) compare(b item) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.seq, b.seq)) }

// outcome is what came of sending a message.
type outcome int

const (
	taken    outcome = iota // or given up
	refused                 // there was an answer, but not that it was taken
	noAnswer                // at all, or not from the receiver itself
)

// done says what came of the message that take has returned for a stream. after is how long the receiver wants to be
// left alone, 0 if it did not say.
func (q *queue) done(stream siaran.StreamName, o outcome, after time.Duration, now time.Time) {
	q.mu.Lock()
	defer q.mu.Unlock()
	l := q.lanes[stream]
	l.busy = false
	q.busy--
	if o == noAnswer {
		if !now.Before(q.next) { // others that were under way count once
			q.failures++
			q.next = now.Add(max(after, q.jitter(pause(q.failures, lastPause))))
		}
	} else {
		q.failures, q.next = 0, time.Time{}
	}
	switch o {
	case taken:
		q.hold(l.items[0], -1)
		l.items[0] = item{} // lets go of its body
		l.items = l.items[1:]
		l.failed, l.next = 0, time.Time{}
		q.tidy(stream, l)
	case refused:
		l.failed++
		l.next = now.Add(max(after, q.jitter(pause(l.failed, lastWait))))
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func pause(failures int, most time.Duration) time.Duration {
	return min(firstPause<<min(failures-1, 20), most)
}

// failedBefore returns how often the message that is being sent has been refused.
func (q *queue) failedBefore(stream siaran.StreamName) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.lanes[stream].failed
}

// idle reports whether nothing is being sent.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.busy == 0
}

// waiting returns how many messages wait.
func (q *queue) waiting() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// state returns how many messages wait, and how long the oldest has waited.
func (q *queue) state(now time.Time) (waiting int, oldest time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, l := range q.lanes {
		oldest = max(oldest, now.Sub(l.items[0].at))
	}
	return q.count, oldest
}
