package cluster

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
)

func TestManyWhoAskAtOnceMakeOnePull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.slow = 2 * time.Second
		var all sync.WaitGroup
		for range 200 {
			all.Go(func() {
				if err := w.cluster.Ensure(t.Context(), cats); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if looks, offers := w.asked(); looks != 1 || offers != 1 {
			t.Errorf("the parent was asked %d times for the stream and got %d offers", looks, offers)
		}
		if _, err := w.hub.Broadcast(cats); err != nil {
			t.Error(err)
		}
		if way := w.cluster.Way(cats).String(); way != "edge" {
			t.Errorf("the way is %s", way)
		}
	})
}

func TestFailuresAreRemembered(t *testing.T) {
	loop, down := siaran.ErrLoop, errors.New("refused")
	for name, tt := range map[string]struct {
		prepare func(w *world)
		want    error
		offers  int // after the second question
	}{
		"unknown": {func(w *world) { delete(w.streams, cats) }, siaran.ErrNotLive, 0},
		"offline": {func(w *world) { w.streams[cats] = siaran.Stream{Status: siaran.StatusOffline} }, siaran.ErrNotLive, 0},
		"paused": {func(w *world) {
			w.streams[cats] = siaran.Stream{Status: siaran.StatusInterrupted}
		}, siaran.ErrParent, 0},
		"its own":  {func(w *world) { w.streams[cats] = liveStream("edge") }, siaran.ErrNotLive, 0},
		"circle":   {func(w *world) { w.openErr = loop }, siaran.ErrLoop, 1},
		"own way":  {func(w *world) { w.way = siaran.Way{"a", "edge"} }, siaran.ErrLoop, 1},
		"far":      {func(w *world) { w.way = siaran.Way{"a", "b", "c"} }, siaran.ErrTooFar, 1},
		"down":     {func(w *world) { w.openErr = down }, siaran.ErrParent, 1},
		"all down": {func(w *world) { w.openErr, w.lookErr = down, down }, siaran.ErrParent, 1},
		"slow":     {func(w *world) { w.slow = time.Minute }, siaran.ErrParent, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				defer w.close()
				tt.prepare(w)
				for range 2 {
					began := time.Now()
					if err := w.cluster.Ensure(t.Context(), cats); !errors.Is(err, tt.want) {
						t.Errorf("%v, want %v", err, tt.want)
					}
					if waited := time.Since(began); waited > waitTime {
						t.Errorf("that took %v", waited)
					}
				}
				if looks, offers := w.asked(); offers != tt.offers || looks > 3 {
					t.Errorf("%d offers and %d questions, want %d", offers, looks, tt.offers)
				}
				time.Sleep(attemptTime + refusedTime)
				if _, err := w.hub.Broadcast(cats); err == nil {
					t.Error("there is a broadcast")
				}
			})
		})
	}
}

// TestPullsAreForEverybody: they begin here, whichever way the request came that began them.
func TestPullsAreForEverybody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		w.way = siaran.Way{"far"}
		if err := w.cluster.Ensure(siaran.WithWay(t.Context(), siaran.Way{"child"}), cats); err != nil {
			t.Fatal(err)
		}
		w.set(func() {
			if got := w.offers[0].String(); got != "edge" {
				t.Errorf("the parent is told %q", got)
			}
		})
		if got := w.cluster.Way(cats).String(); got != "far, edge" {
			t.Errorf("the media comes by %q", got)
		}
	})
}

func TestNobodyWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		time.Sleep(time.Hour)
		if _, err := w.hub.Broadcast(cats); err != nil {
			t.Fatal("somebody watches, and it is let go:", err)
		}
		w.set(func() { w.sessions = 0 })
		time.Sleep(Linger - time.Second)
		if _, err := w.hub.Broadcast(cats); err != nil {
			t.Fatal("it is let go too soon:", err)
		}
		w.set(func() { w.sessions = 1 })
		time.Sleep(time.Second)
		w.set(func() { w.sessions = 0 })
		time.Sleep(Linger - time.Second)
		if _, err := w.hub.Broadcast(cats); err != nil {
			t.Fatal("a viewer in between does not count:", err)
		}
		time.Sleep(2 * time.Second)
		if _, err := w.hub.Broadcast(cats); err == nil {
			t.Fatal("it stays for nobody")
		}
		w.set(func() {
			if w.open != 0 {
				t.Error("the session at the parent is not ended")
			}
		})
		ensure(t, w)
		if _, offers := w.asked(); offers != 2 {
			t.Errorf("%d offers", offers)
		}
	})
}

func ensure(t *testing.T, w *world) {
	t.Helper()
	if err := w.cluster.Ensure(t.Context(), cats); err != nil {
		t.Fatal(err)
	}
}

// TestParentDiesAndReturns: viewers keep their broadcast, and the parent is asked ever more slowly.
func TestParentDiesAndReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		b, _ := w.hub.Broadcast(cats)
		w.set(func() { w.openErr, w.lookErr = errors.New("down"), errors.New("down") })
		w.newest().end(errors.New("stalled"))
		time.Sleep(10 * time.Second)
		if s := b.State(); s.Status != siaran.StatusInterrupted {
			t.Errorf("it is %s", s.Status)
		}
		if _, offers := w.asked(); offers < 5 || offers > 14 {
			t.Errorf("%d offers in 10 s", offers)
		}
		if n := w.log.lines("cannot get streams"); n != 1 {
			t.Errorf("%d lines about it", n)
		}
		w.set(func() { w.openErr, w.lookErr = nil, nil })
		time.Sleep(2 * lastPause)
		if now, err := w.hub.Broadcast(cats); now != b || b.State().Status != siaran.StatusLive {
			t.Errorf("it does not go on: %v, %+v", err, b.State())
		}
		if n := w.log.lines("answers again"); n != 1 {
			t.Errorf("%d lines about its return", n)
		}
	})
}

func TestParentDiesForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		b, _ := w.hub.Broadcast(cats)
		w.set(func() { w.openErr, w.lookErr = errors.New("down"), errors.New("down") })
		w.newest().end(errors.New("stalled"))
		time.Sleep(29 * time.Second)
		if isDone(b) {
			t.Error("it ends before the grace time is over")
		}
		time.Sleep(5 * time.Second)
		if !isDone(b) {
			t.Error("it does not end")
		}
		_, before := w.asked()
		time.Sleep(time.Minute)
		if _, offers := w.asked(); offers != before {
			t.Error("the parent is still asked")
		}
	})
}

// TestStreamEndsAtTheParent: it ends here, and viewers who are kept are there when it comes back.
func TestStreamEndsAtTheParent(t *testing.T) {
	for _, returns := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			ensure(t, w)
			b, _ := w.hub.Broadcast(cats)
			if err := b.Join(siaran.Viewer{ID: "v"}); err != nil {
				t.Fatal(err)
			}
			w.end()
			time.Sleep(2 * time.Second)
			if _, err := w.hub.Broadcast(cats); err == nil || isDone(b) {
				t.Errorf("it has ended: %v; its viewers are gone: %v", err == nil, isDone(b))
			}
			if err := w.cluster.Ensure(t.Context(), cats); !errors.Is(err, siaran.ErrNotLive) {
				t.Errorf("new viewers get %v", err)
			}
			if returns {
				w.set(func() { w.streams[cats] = liveStream("far") })
				time.Sleep(2 * lastPause)
				if now, _ := w.hub.Broadcast(cats); now != b {
					t.Error("the viewers who stayed are not served")
				}
				return
			}
			time.Sleep(10 * time.Second)
			if !isDone(b) {
				t.Error("its viewers are kept for too long")
			}
		})
	}
}

// TestStreamStopsAtTheParent while the session there goes on in silence, as it does when viewers are kept.
func TestStreamStopsAtTheParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		b, _ := w.hub.Broadcast(cats)
		if err := b.Join(siaran.Viewer{ID: "v"}); err != nil {
			t.Fatal(err)
		}
		w.newest().publication.Interrupt() // the broadcaster is gone for now
		time.Sleep(5 * time.Second)
		if s := b.State(); s.Status != siaran.StatusInterrupted || isDone(b) {
			t.Errorf("%+v", s)
		}
		w.set(func() { delete(w.streams, cats) })
		time.Sleep(3 * time.Second)
		if _, err := w.hub.Broadcast(cats); err == nil || isDone(b) {
			t.Errorf("it has ended: %v; its viewers are gone: %v", err == nil, isDone(b))
		}
		w.set(func() { w.streams[cats] = liveStream("far") })
		time.Sleep(2 * lastPause)
		if now, _ := w.hub.Broadcast(cats); now != b {
			t.Error("the viewers who stayed are not served")
		}
	})
}

// TestParentIsStartedAgain: until its broadcasters are back, it says that the stream is not live, which means nothing.
func TestParentIsStartedAgain(t *testing.T) {
	for _, noticed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer w.close()
			ensure(t, w)
			b, _ := w.hub.Broadcast(cats)
			if noticed {
				w.set(func() { w.openErr, w.lookErr = errors.New("down"), errors.New("down") })
			} else { // it was too fast for questions, but its list has been cut off
				w.cluster.cfg.Above.(*Directory).broke = time.Now()
				time.Sleep(time.Second)
			}
			w.end()
			time.Sleep(3 * time.Second)
			w.set(func() { w.openErr, w.lookErr = nil, nil })
			time.Sleep(10 * time.Second)
			if s := b.State(); s.Status != siaran.StatusInterrupted {
				t.Errorf("it is %s", s.Status)
			}
			w.set(func() { w.streams[cats] = liveStream("far") })
			time.Sleep(2 * lastPause)
			if s := b.State(); s.Status != siaran.StatusLive {
				t.Errorf("after its return it is %s", s.Status)
			}
		})
	}
}

// TestEndedHere: what is decided here is not undone.
func TestEndedHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		if err := w.hub.End(cats, siaran.EndByOwner); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if _, offers := w.asked(); offers != 1 {
			t.Errorf("%d offers", offers)
		}
	})
}

func TestParentIsToldOfTheAudience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ensure(t, w)
		b, _ := w.hub.Broadcast(cats)
		want := func(viewers int, joins uint64) {
			t.Helper()
			time.Sleep(2 * lookEvery)
			if got, _ := w.newest().lastTold(); got != (audience{viewers, joins}) {
				t.Errorf("told %+v, want %d, %d", got, viewers, joins)
			}
		}
		for i := range 100 {
			if err := b.Join(siaran.Viewer{ID: siaran.ViewerID(rune('a' + i))}); err != nil {
				t.Fatal(err)
			}
		}
		want(100, 100)
		b.Leave("a")
		b.Below("child", 7, 9)
		want(106, 109)
		if _, n := w.newest().lastTold(); n > 3 {
			t.Errorf("told %d times in two seconds", n)
		}
		time.Sleep(time.Minute)
		if _, n := w.newest().lastTold(); n < 10 || n > 16 {
			t.Errorf("told %d times in a minute in which nothing changed", n)
		}
		w.newest().end(errors.New("stalled"))
		time.Sleep(2 * lastPause)
		want(106, 0) // who were there have been counted
		b.Below("child", 8, 10)
		want(107, 1)
	})
}

// TestPullsTheLayersThatThereAre: those that the parent has, and while it cannot be asked those that are here.
func TestPullsTheLayersThatThereAre(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		above := liveStream("far")
		above.Layers = []siaran.LayerState{{RID: "l"}, {RID: "h"}}
		w.set(func() { w.streams[cats] = above })
		if err := w.cluster.Ensure(t.Context(), cats); err != nil {
			t.Fatal(err)
		}
		pulled := func() (layers []string) { w.set(func() { layers = w.layers }); return layers }
		if got := pulled(); !slices.Equal(got, []string{"l", "h"}) {
			t.Errorf("%q", got)
		}
		w.set(func() { w.lookErr = errors.New("no answer") })
		w.newest().end(errors.New("stalled"))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := pulled(); !slices.Equal(got, []string{"l", "h"}) {
			t.Errorf("after the parent could not be asked: %q", got)
		}
	})
}
