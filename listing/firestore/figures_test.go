package firestore

import (
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// figure is a number in a test that the environment can make larger, for someone who has the time to wait.
func figure(t testing.TB, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(name, err)
	}
	return n
}

// TestCost counts the operations that viewers cost when they come and go. By hand:
// SIARAN_VIEWERS=1000 SIARAN_SECONDS=60.
func TestCost(t *testing.T) {
	t.Parallel()
	for _, presence := range []Presence{PresenceDocuments, PresenceCounts, PresenceOff} {
		t.Run(string(presence), func(t *testing.T) { t.Parallel(); testCost(t, presence) })
	}
}

func testCost(t *testing.T, presence Presence) {
	viewers := figure(t, "SIARAN_VIEWERS", 200)
	period := time.Duration(figure(t, "SIARAN_SECONDS", 4)) * time.Second
	s := startStation(t, "here", Config{Project: emulator.Project(), Presence: presence, ask: listing.RenewPeriod})
	if err := s.f.Claim(t.Context(), "cats", "here", alice, 0); err != nil { // so that there are rights to read
		t.Fatal(err)
	}
	p := listingtest.Publish(t, s.hub, "cats")
	testutil.Eventually(
		t,
		"the stream is live",
		func() bool { return s.read().streams["cats"].text("status") == "live" },
	)
	before := s.f.Stats()
	began := time.Now()
	// All come in the first half of the period, and leave in the other half. Whoever has come is written before it leaves,
	// however long the machine takes.
	step := period / time.Duration(2*viewers)
	ids := make([]siaran.ViewerID, viewers)
	for i := range ids {
		ids[i] = listingtest.Join(t, p)
		time.Sleep(step) // of the period
	}
	if presence == PresenceDocuments {
		testutil.Eventually(t, "all viewers are written", func() bool { return len(s.read().viewers["cats"]) == viewers })
	}
	for _, id := range ids {
		p.Broadcast().Leave(id)
		time.Sleep(step) // of the period
	}
	testutil.Eventually(t, "no viewers are left", func() bool {
		d := s.read()
		return len(d.viewers["cats"]) == 0 && d.streams["cats"].number("viewers") == 0
	})
	took := time.Since(began)
	after := s.f.Stats()
	writes, deletes, reads := after.Writes-before.Writes, after.Deletes-before.Deletes, after.Reads-before.Reads
	leases := uint64(took/listing.RenewPeriod) + 2
	counts := uint64(took/writePause) + 2
	t.Logf("%d viewers in %v with presence %s: %d writes, %d deletes, %d reads; "+
		"at most %d leases and %d counts are among the writes",
		viewers, took.Round(100*time.Millisecond), presence, writes, deletes, reads, leases, counts)
	var perViewer uint64
	switch presence {
	case PresenceDocuments:
		perViewer = 2 * uint64(viewers)
	case PresenceOff:
		counts = 0
	}
	if ops := writes + deletes; ops > perViewer+leases+counts {
		t.Errorf("%d writes and deletes, want at most %d for the viewers, %d leases and %d counts",
			ops, perViewer, leases, counts)
	}
	if presence == PresenceDocuments && (writes < uint64(viewers) || deletes != uint64(viewers)) {
		t.Errorf("%d writes and %d deletes for %d viewers", writes, deletes, viewers)
	}
	if reads > 2*(leases+counts)+10 {
		t.Errorf("%d reads", reads)
	}
	s.stop()
	if h, err := s.f.Broadcasts(t.Context(), "cats", 1); err != nil || len(h) != 1 {
		t.Errorf("history %+v, %v", h, err)
	} else if wantPeak := map[bool]int{true: 0, false: viewers}[presence == PresenceOff]; h[0].PeakViewers < wantPeak ||
		h[0].EndReason != siaran.EndShutdown {
		t.Errorf("history %+v, want a peak of at least %d", h, wantPeak)
	}
}

// TestOutage lets viewers come and go while the database does not answer, and after it has lost everything.
// By hand: SIARAN_SECONDS=60 SIARAN_VIEWERS=1000.
func TestOutage(t *testing.T) {
	t.Parallel()
	for name, outage := range map[string]struct{ begin, end func(*emulator.Emulator) }{
		"paused":    {(*emulator.Emulator).Pause, (*emulator.Emulator).Resume},
		"restarted": {(*emulator.Emulator).Stop, (*emulator.Emulator).Restart},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); testFirestoreOutage(t, outage.begin, outage.end) })
	}
}

func testFirestoreOutage(t *testing.T, begin, end func(*emulator.Emulator)) {
	viewers := figure(t, "SIARAN_VIEWERS", 200)
	period := time.Duration(figure(t, "SIARAN_SECONDS", 6)) * time.Second
	e := emulator.New(t)
	s := startStation(t, "here", Config{Emulator: e.Host, Project: emulator.Project()}, short)
	stays, ends := listingtest.Publish(t, s.hub, "stays"), listingtest.Publish(t, s.hub, "ends")
	var watching []siaran.ViewerID
	for range viewers / 2 {
		watching = append(watching, listingtest.Join(t, stays))
		listingtest.Join(t, ends)
	}
	testutil.Eventually(t, "all is written", func() bool { return s.read().agrees(stays, "here", watching) })

	begin(e)
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	heap := memory.HeapAlloc
	began, waited := time.Now(), 0
	var comes *siaran.Publication
	for i := range viewers {
		asked := time.Now()
		id := listingtest.Join(t, stays)
		if i%3 == 0 {
			stays.Broadcast().Leave(id)
		} else {
			watching = append(watching, id)
		}
		if i%2 == 0 {
			k := rand.IntN(len(watching))
			stays.Broadcast().Leave(watching[k])
			watching = slices.Delete(watching, k, k+1)
		}
		if time.Since(asked) > time.Second {
			waited++
		}
		switch i {
		case viewers / 3:
			ends.Stop()
		case viewers / 2:
			comes = listingtest.Publish(t, s.hub, "comes")
		}
		time.Sleep(time.Until(began.Add(time.Duration(i+1) * period / time.Duration(viewers)))) // of the period
	}
	if waited > viewers/10 { // a busy machine stands still now and then
		t.Errorf("%d of %d waited to join while the database was away", waited, viewers)
	}
	if err := s.f.Ready(t.Context()); period > unreadyAfter && err == nil {
		t.Error("the server says that it is ready without its database")
	}
	runtime.ReadMemStats(&memory)
	t.Logf("the heap grew from %d to %d kB while %d came", heap/1024, memory.HeapAlloc/1024, viewers)
	end(e)
	back := time.Now()
	testutil.Eventually(t, "the documents are right", func() bool {
		d := s.read()
		return d.agrees(stays, "here", watching) && d.agrees(comes, "here", nil) && len(d.viewers["ends"]) == 0 &&
			d.streams["ends"].text("status") != "live"
	})
	took := time.Since(back)
	t.Logf(
		"after %v without the database, %d joins and their leaves, the documents were right %v after it came back",
		period,
		viewers,
		took.Round(10*time.Millisecond),
	)
	testutil.Eventually(t, "the server's own memory is right", func() bool {
		row, ok := s.f.mirror.live("stays")
		return ok && row.Viewers == len(watching) && row.LeaseUntil != 0 && s.f.Ready(t.Context()) == nil
	})
	s.stop()
}

// TestTwoServers runs two servers on one database, and kills one of them.
func TestTwoServers(t *testing.T) {
	t.Parallel()
	cfg := Config{Project: emulator.Project()}
	one, two := startStation(t, "one", cfg, short), startStation(t, "two", cfg, short)
	cats, dogs := listingtest.Publish(t, one.hub, "cats"), listingtest.Publish(t, two.hub, "dogs")
	for range 50 {
		listingtest.Join(t, cats)
	}
	stays := listingtest.Join(t, dogs)
	sees := func(s *station, want ...siaran.StreamName) func() bool {
		seen := follow(t, s.f)
		return func() bool { return slices.Equal(seen(), want) }
	}
	near, far := sees(one, "cats", "dogs"), sees(two, "cats", "dogs")
	alone := sees(two, "dogs")
	testutil.Eventually(t, "both see both", func() bool { return near() && far() })
	testutil.Eventually(t, "all are written", func() bool { return len(one.read().viewers["cats"]) == 50 })

	killed := time.Now()
	one.crash()
	testutil.Eventually(t, "the other sees its own stream alone", alone)
	t.Logf("the dead server's stream was gone after %v", time.Since(killed).Round(10*time.Millisecond))
	testutil.Eventually(t, "it lists no other", func() bool {
		list, err := two.f.Streams(t.Context(), siaran.StreamQuery{})
		return err == nil && len(list) == 1
	})
	testutil.Eventually(t, "the other has tidied up", func() bool {
		d := two.read()
		return len(d.viewers["cats"]) == 0 && d.streams["cats"].text("status") == "offline" && len(d.nodes) == 1 &&
			d.broadcasts[string(cats.Broadcast().ID())].text("reason") == "crashed" &&
			d.agrees(dogs, "two", []siaran.ViewerID{stays})
	})
	two.stop()
}

// follow watches the listing, and returns a function for what the watcher knows.
func follow(t *testing.T, f *Listing) func() []siaran.StreamName {
	t.Helper()
	names := make(chan map[siaran.StreamName]bool, 1)
	names <- make(map[siaran.StreamName]bool)
	ended := make(chan error, 1)
	edit := func(change func(map[siaran.StreamName]bool)) {
		m := <-names
		change(m)
		names <- m
	}
	go func() {
		ended <- f.Watch(t.Context(), func(list []siaran.Stream) {
			edit(func(m map[siaran.StreamName]bool) {
				for _, s := range list {
					m[s.Name] = true
				}
			})
		}, func(e siaran.StreamEvent) {
			edit(func(m map[siaran.StreamName]bool) {
				if e.Gone {
					delete(m, e.Stream.Name)
				} else {
					m[e.Stream.Name] = true
				}
			})
		})
	}()
	t.Cleanup(func() { <-ended })
	return func() (list []siaran.StreamName) {
		edit(func(m map[siaran.StreamName]bool) {
			for name := range m {
				list = append(list, name)
			}
		})
		slices.Sort(list)
		return list
	}
}

// TestRestart restarts a server under its name before its lease has run out.
func TestRestart(t *testing.T) {
	t.Parallel()
	cfg := Config{Project: emulator.Project()}
	s := startStation(t, "here", cfg)
	var old []*siaran.Publication
	for _, name := range []siaran.StreamName{"a", "b", "c"} {
		p := listingtest.Publish(t, s.hub, name)
		for range 20 {
			listingtest.Join(t, p)
		}
		old = append(old, p)
	}
	testutil.Eventually(t, "all are written", func() bool {
		d := s.read()
		return len(d.viewers["a"])+len(d.viewers["b"])+len(d.viewers["c"]) == 60
	})
	s.crash()
	s = startStation(t, "here", cfg)
	p := listingtest.Publish(t, s.hub, "a")
	v := listingtest.Join(t, p)
	crashed := func(d documents) bool {
		return !slices.ContainsFunc(old, func(p *siaran.Publication) bool {
			m := d.broadcasts[string(p.Broadcast().ID())]
			return m.text("reason") != "crashed" || m.time("endedAt") == 0
		})
	}
	testutil.Eventually(t, "only what lives is there", func() bool {
		d := s.read()
		return d.agrees(p, "here", []siaran.ViewerID{v}) && len(d.viewers["b"])+len(d.viewers["c"]) == 0 &&
			d.streams["b"].text("status") == "offline" &&
			crashed(d)
	})
	s.stop()
}
