package listing

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
	"siaran/internal/codec"
	"siaran/internal/testutil"
	"siaran/listing/listingtest"
	"siaran/listing/sqlite"
)

func TestReporterLease(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		begin := time.Now()
		s := start(t, l, self)
		p := listingtest.Publish(t, s.hub, "cats")
		listingtest.Join(t, p)
		pass(61 * time.Second)
		if first := s.listing.of("sweep "+self, "renew", "apply", "sweep ")[:2]; first[0].op != "sweep "+self ||
			first[1].op != "renew" {
			t.Errorf("the first calls are %v and %v", first[0].op, first[1].op)
		}
		if n := len(s.listing.of("sweep " + self)); n != 1 {
			t.Errorf("swept its own %d times", n)
		}
		renewals := s.listing.of("renew")
		if len(renewals) != 13 {
			t.Errorf("%d renewals in 61 s, want 13", len(renewals))
		}
		for i, c := range renewals {
			if at := begin.Add(time.Duration(i) * 5 * time.Second); !c.at.Equal(at) ||
				!c.node.LeaseUntil.Equal(at.Add(15*time.Second)) ||
				c.node.Name != self ||
				c.node.URL == "" {
				t.Errorf("renewal %d at %v: %+v", i, c.at.Sub(begin), c.node)
			}
		}
		if last := renewals[len(renewals)-1]; last.node.Viewers != 1 {
			t.Errorf("the node counts %d viewers, want 1", last.node.Viewers)
		}
		if n := len(s.listing.of("sweep ")); n != 5 {
			t.Errorf("swept the dead %d times in 61 s, want 5", n)
		}
		if n := len(s.listing.of("apply")); n > 2 {
			t.Errorf("%d updates though nothing changed", n)
		}
		s.stop(t)
		renewals = s.listing.of("renew")
		if last := renewals[len(renewals)-1]; last.node.LeaseUntil.After(time.Now()) {
			t.Errorf("the lease was not given back: %+v", last.node)
		}
		h, err := l.Broadcasts(t.Context(), "cats", 1)
		if err != nil || len(h) != 1 || h[0].EndReason != siaran.EndShutdown {
			t.Errorf("history %+v, %v, want one that the shutdown ended", h, err)
		}
	})
}

// TestReporterPace uses a listing that takes counts often, and one that is no WritePacer.
func TestReporterPace(t *testing.T) {
	for name, pace := range map[string]struct {
		pause       time.Duration
		least, most int // writes in 10 s
		of          func(*sqlite.Listing) siaran.Listing
	}{
		"quick": {quickPause, 30, 43, func(l *sqlite.Listing) siaran.Listing { return l }},
		"usual": {countPause, 10, 13, func(l *sqlite.Listing) siaran.Listing { return struct{ siaran.Listing }{l} }},
	} {
		t.Run(name, func(t *testing.T) { testPace(t, pace.pause, pace.least, pace.most, pace.of) })
	}
}

func testPace(t *testing.T, pause time.Duration, least, most int, of func(*sqlite.Listing) siaran.Listing) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		s := start(t, of(l), self)
		busy, calm := listingtest.Publish(t, s.hub, "busy"), listingtest.Publish(t, s.hub, "calm")
		synctest.Wait()
		begin := time.Now()
		writes := func(b *siaran.Broadcast) (times []time.Duration, joins, leaves int) {
			for _, c := range s.listing.of("apply") {
				for _, change := range c.update.Changes {
					if change.State.ID == b.ID() {
						times = append(times, c.at.Sub(begin))
						joins += len(change.Joined)
						leaves += len(change.Left)
					}
				}
			}
			return times, joins, leaves
		}
		var watching []siaran.ViewerID
		for range 100 { // for 10 s
			for range 3 {
				watching = append(watching, listingtest.Join(t, busy))
			}
			busy.Broadcast().Leave(watching[0])
			watching = watching[1:]
			pass(100 * time.Millisecond)
		}
		busy.Interrupt() // is written at once
		synctest.Wait()
		times, joins, leaves := writes(busy.Broadcast())
		if last := times[len(times)-1]; last != 10*time.Second {
			t.Errorf("the interruption was written at %v, want 10 s", last)
		}
		if len(times) < least || len(times) > most {
			t.Errorf("%d writes in 10 s: %v", len(times), times)
		}
		for i, at := range times[:len(times)-1] {
			if i > 0 && at-times[i-1] < pause {
				t.Errorf("writes at %v and %v", times[i-1], at)
			}
		}
		if joins != 200+leaves || joins > 300 {
			t.Errorf("%d joins and %d leaves written for 300 and 100", joins, leaves)
		}
		if times, _, _ := writes(calm.Broadcast()); len(times) != 1 {
			t.Errorf("the stream where nothing changed was written %d times", len(times))
		}
		listingtest.Feed(t, busy)
		synctest.Wait()
		agree(t, l, busy, watching)
		s.stop(t)
	})
}

// TestReporterOutage makes the listing fail in every way for a while. Afterwards it must be exact.
func TestReporterOutage(t *testing.T) {
	sometimes := func() fault {
		random := rand.New(rand.NewPCG(3, 4))
		var mu sync.Mutex
		roll := func() int {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(4)
		}
		return func(ctx context.Context, op string, do func() error) error {
			switch roll() {
			case 0:
				return away(ctx, op, do)
			case 1:
				return late(ctx, op, do)
			}
			return do()
		}
	}
	onlyApply := func(ctx context.Context, op string, do func() error) error {
		if op == "apply" {
			return errFlaky
		}
		return do()
	}
	for name, fault := range map[string]fault{
		"away": away, "late": late, "hanging": hanging, "sometimes": sometimes(), "only updates": onlyApply,
	} {
		for _, outage := range []time.Duration{3 * time.Second, 100 * time.Second} {
			t.Run(fmt.Sprint(name, " for ", outage), func(t *testing.T) {
				inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) { testOutage(t, path, l, fault, outage) })
			})
		}
	}
}

func testOutage(t *testing.T, path string, l *sqlite.Listing, fault fault, outage time.Duration) {
	s := start(t, l, self)
	stays, ends := listingtest.Publish(t, s.hub, "stays"), listingtest.Publish(t, s.hub, "ends")
	var watching []siaran.ViewerID
	for range 20 {
		watching = append(watching, listingtest.Join(t, stays))
		listingtest.Join(t, ends)
	}
	pass(5 * time.Second)
	s.listing.set(fault)
	ends.Stop()
	var comes *siaran.Publication
	for i := range 100 {
		id := listingtest.Join(t, stays)
		if i%3 == 0 {
			stays.Broadcast().Leave(id)
		} else {
			watching = append(watching, id)
		}
		if i%2 == 0 {
			stays.Broadcast().Leave(watching[5]) // five stay all the time
			watching = slices.Delete(watching, 5, 6)
		}
		if i == 50 {
			comes = listingtest.Publish(t, s.hub, "comes")
			listingtest.Publish(t, s.hub, "short").Stop()
		}
		pass(outage / 100)
	}
	viewer := listingtest.Join(t, comes)
	if outage > 2*LeasePeriod { // as another server would
		if _, err := l.Sweep(t.Context(), ""); err != nil {
			t.Fatal(err)
		}
	}
	s.listing.set(nil)
	pass(lastRetry + CallTimeout + countPause)
	agree(t, l, stays, watching)
	agree(t, l, comes, []siaran.ViewerID{viewer})
	for name, watched := range map[siaran.StreamName]int{"ends": 20, "short": 0} {
		st, err := l.Stream(t.Context(), name)
		if err != nil || st.Status != siaran.StatusOffline {
			t.Errorf("%s is listed as %+v, %v", name, st, err)
		}
		h, err := l.Broadcasts(t.Context(), name, 10)
		if err != nil || len(h) != 1 || h[0].EndReason != siaran.EndStopped || h[0].TotalViewers != watched {
			t.Errorf("%s has the history %+v, %v", name, h, err)
		}
	}
	s.stop(t)
	for _, name := range []siaran.StreamName{"stays", "comes"} {
		h, err := l.Broadcasts(t.Context(), name, 10)
		if err != nil || len(h) != 1 || h[0].EndReason != siaran.EndShutdown {
			t.Errorf("%s has the history %+v, %v", name, h, err)
		}
	}
	if n := count(t, path, "viewers"); n != 0 {
		t.Errorf("%d viewers are left in the database", n)
	}
}

// count returns how many rows a table of the database has.
func count(t *testing.T, path, table string) (n int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow(`SELECT count(*) FROM ` + table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestReporterRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		s := start(t, l, self)
		for i := range 10 {
			listingtest.Join(t, listingtest.Publish(t, s.hub, siaran.StreamName(fmt.Sprint("s", i))))
		}
		old := listingtest.Publish(t, s.hub, "cats")
		listingtest.Join(t, old)
		pass(2 * time.Second)
		s.crash()
		if n := count(t, path, "viewers"); n == 0 {
			t.Fatal("the crash left nothing behind")
		}

		again, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		s = start(t, again, self)
		synctest.Wait() // long before the lease has run out
		if streams, err := l.Streams(t.Context(), siaran.StreamQuery{}); err != nil || len(streams) != 0 {
			t.Errorf("after the restart are listed %+v, %v", streams, err)
		}
		if n := count(t, path, "viewers"); n != 0 {
			t.Errorf("%d viewers are left", n)
		}
		p := listingtest.Publish(t, s.hub, "cats")
		v := listingtest.Join(t, p)
		synctest.Wait()
		pass(countPause)
		agree(t, l, p, []siaran.ViewerID{v})
		h, err := l.Broadcasts(t.Context(), "cats", 10)
		if err != nil || len(h) != 2 || h[1].ID != old.Broadcast().ID() || h[1].EndReason != siaran.EndCrashed {
			t.Errorf("history %+v, %v, want the old broadcast crashed", h, err)
		}
		s.stop(t)
	})
}

// TestReporterSweepsOthers lets one server die and another clean up after it.
func TestReporterSweepsOthers(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		dead, alive := start(t, l, "dead"), start(t, l, "alive")
		listingtest.Join(t, listingtest.Publish(t, dead.hub, "dogs"))
		p := listingtest.Publish(t, alive.hub, "cats")
		v := listingtest.Join(t, p)
		pass(2 * time.Second)
		dead.crash()
		pass(2 * LeasePeriod)
		if n := count(t, path, "viewers"); n != 1 {
			t.Errorf("%d viewers are in the database, want 1", n)
		}
		if n := count(t, path, "nodes"); n != 1 {
			t.Errorf("%d nodes are in the database, want 1", n)
		}
		agree(t, l, p, []siaran.ViewerID{v})
		alive.stop(t)
	})
}

// TestReporterOverflow lets more viewers leave than are written one by one, while only updates fail.
func TestReporterOverflow(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		s := start(t, l, self)
		p := listingtest.Publish(t, s.hub, "cats")
		var watching []siaran.ViewerID
		for range maxLeaves + 10 {
			watching = append(watching, listingtest.Join(t, p))
		}
		pass(2 * time.Second)
		agree(t, l, p, watching)
		s.listing.set(func(_ context.Context, op string, do func() error) error {
			if op == "apply" {
				return errFlaky
			}
			return do()
		})
		for _, id := range watching[5:] {
			p.Broadcast().Leave(id)
		}
		pass(firstRetry)
		if n := len(s.listing.of("sweep " + self)); n != 2 {
			t.Errorf("swept its own %d times, want 2", n)
		}
		if n := count(t, path, "nodes"); n != 1 {
			t.Error("the server has taken its own lease away")
		}
		pass(LeasePeriod)
		s.listing.set(nil)
		pass(lastRetry)
		agree(t, l, p, watching[:5])
		s.stop(t)
	})
}

// TestReporterEndsAtOnce stops before anything has been written. What is known then is written all the same.
func TestReporterEndsAtOnce(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "listing.db"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 20 {
		hub := siaran.NewHub(time.Second, codec.NewFramer)
		name := siaran.StreamName(fmt.Sprint("s", i))
		listingtest.Publish(t, hub, name)
		if err := NewReporter(hub, l, siaran.Node{Name: self}, nil).Run(ctx); err != nil {
			t.Fatal(err)
		}
		hub.Close()
		if h, err := l.Broadcasts(t.Context(), name, 1); err != nil || len(h) != 1 {
			t.Fatalf("history %+v, %v, want one broadcast", h, err)
		}
		if s, err := l.Stream(t.Context(), name); err != nil || s.Status != siaran.StatusOffline {
			t.Fatalf("listed as %+v, %v, though the server is gone", s, err)
		}
	}
}

// TestReporterEnd stops the server while the listing is away: that takes a limited time and returns an error.
func TestReporterEnd(t *testing.T) {
	for name, fault := range map[string]fault{"away": away, "hanging": hanging} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
				s := start(t, l, self)
				listingtest.Publish(t, s.hub, "cats")
				pass(time.Second)
				s.listing.set(fault)
				s.hub.Close()
				begin := time.Now()
				s.cancel()
				err := <-s.ended
				if err == nil {
					t.Error("no error")
				}
				if took := time.Since(begin); took > endTimeout {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestReporterJoins lets viewers come and go from many goroutines while the listing fails now and then.
func TestReporterJoins(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "listing.db"))
	s := start(t, l, self)
	var mu sync.Mutex
	calls := 0
	s.listing.set(func(ctx context.Context, op string, do func() error) error {
		mu.Lock()
		calls++
		n := calls
		mu.Unlock()
		switch n % 5 {
		case 2:
			return away(ctx, op, do)
		case 4:
			return late(ctx, op, do)
		}
		return do()
	})
	p := listingtest.Publish(t, s.hub, "cats")
	var watching []siaran.ViewerID
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for i := range 100 {
				id := siaran.NewViewerID()
				if err := p.Broadcast().Join(siaran.Viewer{ID: id, JoinedAt: time.Now(), Path: "direct"}); err != nil {
					t.Error(err)
				}
				if i%4 != 0 {
					p.Broadcast().Leave(id)
					continue
				}
				mu.Lock()
				watching = append(watching, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	listed := func() int {
		list, err := l.Viewers(t.Context(), "cats")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	testutil.Eventually(t, "all viewers are listed", func() bool { return listed() == len(watching) })
	agree(t, l, p, watching)
	for _, id := range watching {
		p.Broadcast().Leave(id)
	}
	testutil.Eventually(t, "no viewers are listed", func() bool { return listed() == 0 })
	agree(t, l, p, nil)
	s.listing.set(nil)
	s.stop(t)
	h, err := l.Broadcasts(t.Context(), "cats", 1)
	if err != nil || len(h) != 1 || h[0].TotalViewers != 1000 || h[0].Viewers != 0 || h[0].PeakViewers < 250 {
		t.Errorf("history %+v, %v, want 1000 viewers in all", h, err)
	}
}

// unindexed is a database that cannot sweep until it is indexed.
type unindexed struct {
	*sqlite.Listing
	indexed atomic.Bool
}

func (u *unindexed) Sweep(ctx context.Context, node string) (int, error) {
	if !u.indexed.Load() {
		return 0, fmt.Errorf("sweep: %w", ErrNoIndex)
	}
	return u.Listing.Sweep(ctx, node)
}

// TestReporterLacksIndex checks that everything else works without the index.
func TestReporterLacksIndex(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		u := &unindexed{Listing: l}
		s := start(t, u, self)
		p := listingtest.Publish(t, s.hub, "cats")
		for range 40 {
			v := listingtest.Join(t, p)
			pass(quickPause)
			agree(t, l, p, []siaran.ViewerID{v})
			p.Broadcast().Leave(v)
			pass(quickPause)
			agree(t, l, p, nil)
		}
		if n := len(s.listing.of("renew")); n != 5 {
			t.Errorf("%d renewals in 20 s, want 5", n)
		}
		u.indexed.Store(true)
		pass(2 * indexPause)
		if swept := s.listing.of("sweep " + self); len(swept) != 2 {
			t.Errorf("swept its own %d times, want once more when that could be", len(swept))
		}
		s.stop(t)
	})
}

// slow takes time for each viewer, like a database that is far away.
type slow struct{ *sqlite.Listing }

func (s slow) Apply(ctx context.Context, u siaran.Update) error {
	for _, c := range u.Changes {
		if !sleep(ctx, time.Duration(len(c.Joined)+len(c.Left))*time.Second/500) {
			return ctx.Err()
		}
	}
	return s.Listing.Apply(ctx, u)
}

// TestReporterStopsWithMany stops a server that has more viewers than it can write about: the ends and the lease come
// first.
func TestReporterStopsWithMany(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		s := start(t, slow{l}, self)
		for _, name := range []siaran.StreamName{"cats", "dogs"} {
			p := listingtest.Publish(t, s.hub, name)
			for range 2000 {
				listingtest.Join(t, p)
			}
		}
		pass(time.Minute)
		s.stop(t)
		for _, name := range []siaran.StreamName{"cats", "dogs"} {
			if h, err := l.Broadcasts(t.Context(), name, 1); err != nil || len(h) != 1 || h[0].EndReason != siaran.EndShutdown ||
				h[0].PeakViewers != 2000 {
				t.Errorf("history %+v, %v, want one that the shutdown ended", h, err)
			}
		}
		renewals := s.listing.of("renew")
		if last := renewals[len(renewals)-1]; last.node.LeaseUntil.After(time.Now()) {
			t.Errorf("the lease was not given back: %+v", last.node)
		}
	})
}

// TestReporterSweepHangs makes the sweep of others hang, which delays nothing of our own.
func TestReporterSweepHangs(t *testing.T) {
	inBubble(t, func(t *testing.T, path string, l *sqlite.Listing) {
		s := start(t, l, self)
		s.listing.set(func(ctx context.Context, op string, do func() error) error {
			if op == "sweep " {
				return hanging(ctx, op, do)
			}
			return do()
		})
		p := listingtest.Publish(t, s.hub, "cats")
		pass(time.Second)
		for range 100 {
			v := listingtest.Join(t, p)
			pass(quickPause)
			agree(t, l, p, []siaran.ViewerID{v})
			p.Broadcast().Leave(v)
			pass(quickPause)
		}
		if n := len(s.listing.of("renew")); n != 11 {
			t.Errorf("%d renewals in 51 s, want 11", n)
		}
		if n := len(s.listing.of("sweep ")); n < 2 {
			t.Error("it was not tried again")
		}
		s.stop(t)
	})
}
