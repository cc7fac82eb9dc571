package listing

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"siaran"
)

const (
	watchPause = 50 * time.Millisecond  // at least, between two readings
	watchTick  = 250 * time.Millisecond // how late a run-out lease and another process's commit may be seen
)

// liveSet is all that is public and live, at one moment. It never changes.
type liveSet struct {
	version int64 // of the database, as its connection counts
	until   int64 // when the first of the leases runs out
	rows    []streamRow
	byName  map[string]streamRow
	next    chan struct{} // closed when there is a newer set, or none any more
}

// liveFeed reads the live streams once for all who watch.
type liveFeed struct {
	listing *SQLite
	db      *sql.DB // one connection: its data_version counts the commits of all others
	changed chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	watchers int
	set      *liveSet // nil before the first reading and after one that failed
	err      error    // of the newest reading
}

func newLiveFeed(s *SQLite, db *sql.DB) *liveFeed {
	f := &liveFeed{listing: s, db: db, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go f.run()
	return f
}

// poke says that something may have changed.
func (f *liveFeed) poke() { poke(f.changed) }

// close waits for run; the listing has ended before.
func (f *liveFeed) close() error {
	<-f.done
	return f.db.Close()
}

func (f *liveFeed) run() {
	defer close(f.done)
	ended := f.listing.ended.Done()
	tick := time.NewTicker(watchTick)
	defer tick.Stop()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ended:
			return
		case <-pause.C:
		}
		select {
		case <-ended:
			return
		case <-f.changed:
		case <-tick.C:
		}
		f.mu.Lock()
		if f.watchers > 0 {
			f.refresh()
		}
		f.mu.Unlock()
		pause.Reset(watchPause)
	}
}

// refresh reads again if anything has changed. The caller holds f.mu.
func (f *liveFeed) refresh() {
	ctx := f.listing.ended
	now := micros(f.listing.now())
	old := f.set
	var version int64
	// Read before the streams, so that a commit in between makes for one more reading and not for a missed one.
	f.err = f.db.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version)
	if f.err == nil && old != nil && old.version == version && now < old.until {
		return
	}
	f.set = nil
	if f.err == nil {
		f.set, f.err = f.read(ctx, version, now)
	}
	if old != nil {
		close(old.next)
	}
}

func (f *liveFeed) read(ctx context.Context, version, now int64) (*liveSet, error) {
	rows, err := selectRows(ctx, f.db, scanStream, selectStreams+`WHERE s.visibility = 'public' AND `+isLive+liveFirst, sql.Named("now", now))
	if err != nil {
		return nil, err
	}
	set := &liveSet{version: version, until: math.MaxInt64, rows: rows, byName: make(map[string]streamRow, len(rows)), next: make(chan struct{})}
	for i := range rows {
		set.until = min(set.until, rows[i].LeaseUntil)
		rows[i].LeaseUntil = 1 // a renewed lease is no change of the stream
		set.byName[rows[i].Name] = rows[i]
	}
	return set, nil
}

func (f *liveFeed) enter() (*liveSet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refresh()
	if f.err == nil {
		f.watchers++
	}
	return f.set, f.err
}

func (f *liveFeed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.watchers--
}

func (f *liveFeed) newest() (*liveSet, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set, f.err
}

// Watch implements siaran.Listing. The Stream of an event with Gone is offline, with the title it had while it was public.
func (s *SQLite) Watch(ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error {
	set, err := s.live.enter()
	if err != nil {
		return s.explain("watch", err)
	}
	defer s.live.leave()
	err = set.watch(ctx, s.ended.Done(), s.live.newest, snapshot, event)
	if err != nil && ctx.Err() == nil {
		return s.explain("watch", err)
	}
	return err
}

// watch calls for set, and for what is different in each that follows, until ctx or the listing ends.
func (set *liveSet) watch(ctx context.Context, ended <-chan struct{}, newest func() (*liveSet, error), snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error {
	list := make([]siaran.Stream, len(set.rows))
	for i, row := range set.rows {
		var err error
		if list[i], err = row.stream(); err != nil {
			return err
		}
	}
	snapshot(list)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ended:
			return siaran.ErrClosed
		case <-set.next:
		}
		next, err := newest()
		if err != nil {
			return err
		}
		if err := next.differences(set, event); err != nil {
			return err
		}
		set = next
	}
}

// differences calls for what is not as it was in the set before.
func (set *liveSet) differences(before *liveSet, event func(siaran.StreamEvent)) error {
	for _, row := range before.rows {
		if _, still := set.byName[row.Name]; still {
			continue
		}
		row.LeaseUntil = 0
		stream, err := row.stream()
		if err != nil {
			return fmt.Errorf("stream %s: %w", row.Name, err)
		}
		event(siaran.StreamEvent{Stream: stream, Gone: true})
	}
	for _, row := range slices.Backward(set.rows) { // oldest first, so that one who puts each on top ends up in order
		if before.byName[row.Name] == row {
			continue
		}
		stream, err := row.stream()
		if err != nil {
			return fmt.Errorf("stream %s: %w", row.Name, err)
		}
		event(siaran.StreamEvent{Stream: stream})
	}
	return nil
}
