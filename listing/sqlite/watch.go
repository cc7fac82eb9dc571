package sqlite

import (
	"context"
	"database/sql"
	"math"
	"sync"
	"time"

	"siaran"
	"siaran/listing/internal/live"
)

// liveFeed reads the live streams once for all watchers.
type liveFeed struct {
	listing *Listing
	db      *sql.DB // one connection: its data_version counts the commits of all others
	changed chan struct{}
	done    chan struct{}

	mu       sync.Mutex
	watchers int
	set      *live.Set // nil before the first reading and after one that failed
	version  int64     // of the database when set was read, as its connection counts
	until    int64     // when the first of the leases in set runs out
	err      error     // of the newest reading
}

func newLiveFeed(s *Listing, db *sql.DB) *liveFeed {
	f := &liveFeed{listing: s, db: db, changed: make(chan struct{}, 1), done: make(chan struct{})}
	go f.run()
	return f
}

// poke tells the feed that something may have changed.
func (f *liveFeed) poke() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// close waits for run, which ends with the listing.
func (f *liveFeed) close() error {
	<-f.done
	return f.db.Close()
}

func (f *liveFeed) run() {
	defer close(f.done)
	ended := f.listing.ended.Done()
	tick := time.NewTicker(live.WatchTick)
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
		pause.Reset(live.WatchPause)
	}
}

// refresh reads the streams again if anything has changed. The caller holds f.mu.
func (f *liveFeed) refresh() {
	ctx := f.listing.ended
	now := live.Micros(f.listing.now())
	old := f.set
	var version int64
	// Read before the streams, so that a commit in between causes one reading more and is not missed.
	f.err = f.db.QueryRowContext(ctx, `PRAGMA data_version`).Scan(&version)
	if f.err == nil && old != nil && f.version == version && now < f.until {
		return
	}
	f.set = nil
	if f.err == nil {
		f.version = version
		f.set, f.until, f.err = f.read(ctx, now)
	}
	if old != nil {
		old.Supersede()
	}
}

// read returns what is public and live, and when the first of the leases runs out.
func (f *liveFeed) read(ctx context.Context, now int64) (set *live.Set, until int64, err error) {
	rows, err := selectRows(ctx, f.db, scanStream, selectStreams+`WHERE s.visibility = 'public' AND `+isLive+liveFirst,
		sql.Named("now", now))
	if err != nil {
		return nil, 0, err
	}
	until = math.MaxInt64
	streams := make([]siaran.Stream, len(rows))
	for i, row := range rows {
		until = min(until, row.LeaseUntil)
		streams[i] = row.View()
	}
	return live.NewSet(streams), until, nil
}

func (f *liveFeed) enter() (*live.Set, error) {
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

func (f *liveFeed) newest() (*live.Set, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.set, f.err
}

// Watch implements siaran.Listing. The Stream of an event with Gone is offline, with its title from when it was public.
func (s *Listing) Watch(ctx context.Context, snapshot func([]siaran.Stream), event func(siaran.StreamEvent)) error {
	set, err := s.live.enter()
	if err != nil {
		return s.explain("watch", err)
	}
	defer s.live.leave()
	err = set.Watch(ctx, s.ended.Done(), s.live.newest, snapshot, event)
	if err != nil && ctx.Err() == nil {
		return s.explain("watch", err)
	}
	return err
}
