package listingtest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran"
)

var watchTests = map[string]func(*testing.T, *bench){
	"snapshot":               testSnapshot,
	"changes":                testChanges,
	"visibility":             testVisibility,
	"a lease":                testWatchLease,
	"a renewal is no change": testRenewal,
	"a slow one":             testSlowWatcher,
	"many":                   testManyWatchers,
	"ends with its context":  testWatchContext,
	"ends with the listing":  testWatchClose,
	"agrees with the list":   testWatchModel,
}

// view is what a watcher knows.
type view struct {
	mu        sync.Mutex
	snapshots int
	early     bool // an event came before the snapshot
	streams   map[siaran.StreamName]siaran.Stream
	gone      map[siaran.StreamName]int
	events    map[siaran.StreamName]int
	block     chan struct{} // when not nil, events wait for it
}

// watch starts a view that ends with t, and waits for its snapshot.
func watch(t *testing.T, l siaran.Listing) *view {
	t.Helper()
	v := &view{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- v.run(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Watch returned %v", err)
			}
		case <-time.After(Patience):
			t.Error("Watch does not return")
		}
	})
	v.wait(t, "a snapshot", func() bool { return v.snapshots > 0 })
	return v
}

func (v *view) run(ctx context.Context, l siaran.Listing) error {
	return l.Watch(ctx, func(list []siaran.Stream) {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.snapshots++
		v.streams = make(map[siaran.StreamName]siaran.Stream)
		v.gone, v.events = make(map[siaran.StreamName]int), make(map[siaran.StreamName]int)
		for _, s := range list {
			v.streams[s.Name] = s
		}
	}, func(e siaran.StreamEvent) {
		v.mu.Lock()
		block := v.block
		v.mu.Unlock()
		if block != nil {
			<-block
		}
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.snapshots != 1 {
			v.early = true
			return
		}
		v.events[e.Stream.Name]++
		if e.Gone {
			delete(v.streams, e.Stream.Name)
			v.gone[e.Stream.Name]++
		} else {
			v.streams[e.Stream.Name] = e.Stream
		}
	})
}

// wait waits until ok returns true. It is called with the view locked.
func (v *view) wait(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		v.mu.Lock()
		good := ok()
		early := v.early
		v.mu.Unlock()
		if early {
			t.Fatal("the snapshot did not come once and first")
		}
		if good {
			return
		}
		if time.Now().After(deadline) {
			v.mu.Lock()
			defer v.mu.Unlock()
			t.Fatalf("the watcher did not see %s within %v; it knows %+v", what, Patience, v.streams)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func (v *view) waitStream(t *testing.T, name siaran.StreamName, what string, ok func(siaran.Stream) bool) {
	t.Helper()
	v.wait(t, what, func() bool {
		s, there := v.streams[name]
		return there && ok(s)
	})
}

func (v *view) waitGone(t *testing.T, name siaran.StreamName) {
	t.Helper()
	v.wait(t, "the stream go", func() bool {
		_, there := v.streams[name]
		return !there && v.gone[name] > 0
	})
}

func isLive(s siaran.Stream) bool { return s.Status == siaran.StatusLive }

func testSnapshot(t *testing.T, b *bench) {
	node := b.node(t)
	private := siaran.VisibilityPrivate
	shown, hidden, over, offline := b.broadcast(), b.broadcast(), b.broadcast(), streamName()
	b.apply(t, node, live(shown), live(hidden), live(over))
	b.apply(t, node, b.ended(over, siaran.EndStopped))
	for name, edit := range map[siaran.StreamName]siaran.StreamEdit{hidden.Stream: {Visibility: &private}, offline: {}} {
		if _, err := b.l.Edit(t.Context(), name, edit); err != nil {
			t.Fatal(err)
		}
	}
	v := watch(t, b.l)
	v.wait(t, "what is public and live", func() bool {
		return reflect.DeepEqual(slices.Collect(maps.Keys(v.streams)), []siaran.StreamName{shown.Stream})
	})
	if want := b.stream(t, shown.Stream); !reflect.DeepEqual(v.streams[shown.Stream], want) {
		t.Errorf("got  %+v\nwant %+v", v.streams[shown.Stream], want)
	}
}

func testChanges(t *testing.T, b *bench) {
	node := b.node(t)
	near, far := watch(t, b.l), watch(t, b.other)
	see := func(name siaran.StreamName, what string, ok func(siaran.Stream) bool) {
		t.Helper()
		near.waitStream(t, name, what, ok)
		far.waitStream(t, name, what, ok)
	}
	state := b.broadcast()
	b.apply(t, node, live(state))
	see(state.Stream, "the stream live", isLive)
	state.Viewers = 7
	b.apply(t, node, live(state))
	see(state.Stream, "7 viewers", func(s siaran.Stream) bool { return s.Viewers == 7 })
	title := "title"
	if _, err := b.l.Edit(t.Context(), state.Stream, siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	see(state.Stream, "the title", func(s siaran.Stream) bool { return s.Title == title && s.Viewers == 7 })
	state.Status = siaran.StatusInterrupted
	b.apply(t, node, live(state))
	see(state.Stream, "the interruption", func(s siaran.Stream) bool { return s.Status == siaran.StatusInterrupted })
	b.apply(t, node, b.ended(state, siaran.EndStopped))
	near.waitGone(t, state.Stream)
	far.waitGone(t, state.Stream)
	b.clock.Advance(time.Second)
	next := b.broadcastOf(state.Stream)
	b.apply(t, node, live(next))
	see(
		state.Stream,
		"the next broadcast",
		func(s siaran.Stream) bool { return s.BroadcastID == next.ID && s.Title == title },
	)
	b.clock.Advance(time.Second)
	replacing := b.broadcastOf(state.Stream)
	b.apply(t, node, b.ended(next, siaran.EndReplaced), live(replacing))
	see(
		state.Stream,
		"the broadcast that replaces it",
		func(s siaran.Stream) bool { return s.BroadcastID == replacing.ID },
	)
}

func testVisibility(t *testing.T, b *bench) {
	node := b.node(t)
	v := watch(t, b.other)
	private, public := siaran.VisibilityPrivate, siaran.VisibilityPublic
	state, sign := b.broadcast(), b.broadcast()
	edit := func(e siaran.StreamEdit) {
		t.Helper()
		if _, err := b.l.Edit(t.Context(), state.Stream, e); err != nil {
			t.Fatal(err)
		}
	}
	edit(siaran.StreamEdit{Visibility: &private})
	b.apply(t, node, live(state))
	b.apply(t, node, live(sign))
	v.waitStream(t, sign.Stream, "the public stream", isLive)
	v.wait(t, "nothing of the private stream", func() bool { _, there := v.streams[state.Stream]; return !there })
	edit(siaran.StreamEdit{Visibility: &public})
	v.waitStream(t, state.Stream, "it become public", isLive)
	edit(siaran.StreamEdit{Visibility: &private})
	v.waitGone(t, state.Stream)
}

func testWatchLease(t *testing.T, b *bench) {
	node := b.node(t)
	v := watch(t, b.other)
	state := b.broadcast()
	b.apply(t, node, live(state))
	v.waitStream(t, state.Stream, "the stream live", isLive)
	b.outlive() // and nobody writes anything
	v.waitGone(t, state.Stream)
	b.renew(t, node)
	v.waitStream(t, state.Stream, "the stream live again", isLive)
	b.sweep(t, node, 1)
	v.waitGone(t, state.Stream)
}

func testRenewal(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state))
	v := watch(t, b.l)
	v.waitStream(t, state.Stream, "the stream live", isLive) // the snapshot may be of before
	before := 0
	v.wait(t, "its events", func() bool { before = v.events[state.Stream]; return true })
	for range 3 {
		b.clock.Advance(lease / 3)
		b.renew(t, node)
		sign := b.broadcast()
		b.apply(t, node, live(sign))
		v.waitStream(t, sign.Stream, "another stream", isLive)
	}
	v.wait(t, "the stream unchanged", func() bool { return isLive(v.streams[state.Stream]) })
	if n := v.events[state.Stream]; n != before {
		t.Errorf("%d events of a stream that did not change", n-before)
	}
}

func testSlowWatcher(t *testing.T, b *bench) {
	node := b.node(t)
	slow, quick := watch(t, b.l), watch(t, b.l)
	block := make(chan struct{})
	slow.mu.Lock()
	slow.block = block
	slow.mu.Unlock()
	state, gone := b.broadcast(), b.broadcast()
	b.apply(t, node, live(gone))
	for i := range 30 {
		state.Viewers = i
		b.apply(t, node, live(state))
	}
	b.apply(t, node, b.ended(gone, siaran.EndStopped))
	newest := func(s siaran.Stream) bool { return s.Viewers == 29 }
	quick.waitStream(t, state.Stream, "the newest state", newest)
	close(block)
	slow.waitStream(t, state.Stream, "the newest state", newest)
	slow.wait(t, "the other gone", func() bool { _, there := slow.streams[gone.Stream]; return !there })
}

func testManyWatchers(t *testing.T, b *bench) {
	node := b.node(t)
	views := make([]*view, 20)
	for i := range views {
		views[i] = watch(t, []siaran.Listing{b.l, b.other}[i%2])
	}
	state := b.broadcast()
	b.apply(t, node, live(state))
	for _, v := range views {
		v.waitStream(t, state.Stream, "the stream live", isLive)
	}
	b.apply(t, node, b.ended(state, siaran.EndStopped))
	for _, v := range views {
		v.waitGone(t, state.Stream)
	}
}

func testWatchContext(t *testing.T, b *bench) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	for want, ctx := range map[error]context.Context{context.Canceled: canceled, context.DeadlineExceeded: late} {
		err := b.l.Watch(ctx, func([]siaran.Stream) {}, func(siaran.StreamEvent) {})
		if !errors.Is(err, want) {
			t.Errorf("Watch returned %v, want %v", err, want)
		}
	}
}

func testWatchClose(t *testing.T, b *bench) {
	l := b.open(t, b.clock.Now)
	v := &view{}
	done := make(chan error, 1)
	go func() { done <- v.run(context.Background(), l) }()
	v.wait(t, "a snapshot", func() bool { return v.snapshots > 0 })
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-done:
		if !errors.Is(err, siaran.ErrClosed) {
			t.Errorf("Watch returned %v, want ErrClosed", err)
		}
	case <-time.After(Patience):
		t.Fatal("Watch goes on after Close")
	}
	if _, err := l.Stream(t.Context(), streamName()); !errors.Is(err, siaran.ErrClosed) {
		t.Errorf("Stream after Close: %v, want ErrClosed", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

// testWatchModel makes everything happen in a random order, and compares what a watcher knows at the end with what is
// listed.
func testWatchModel(t *testing.T, b *bench) {
	random := rand.New(rand.NewPCG(uint64(b.clock.Now().UnixNano()), 0))
	v := watch(t, b.other)
	nodes := []string{b.node(t), b.node(t)}
	names := make([]siaran.StreamName, 6)
	running := make(map[siaran.StreamName]siaran.BroadcastState)
	for i := range names {
		names[i] = streamName()
	}
	visibilities := []siaran.Visibility{siaran.VisibilityPublic, siaran.VisibilityPrivate}
	for range 150 {
		i := random.IntN(len(names))
		name, node := names[i], nodes[i%2]
		state, on := running[name]
		switch op := random.IntN(10); {
		case op == 0:
			if _, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{Visibility: &visibilities[random.IntN(2)]}); err != nil {
				t.Fatal(err)
			}
		case op == 1:
			b.clock.Advance(lease / 2)
			b.renew(t, nodes[random.IntN(2)])
		case op == 2:
			if _, err := b.l.Sweep(t.Context(), ""); err != nil {
				t.Fatal(err)
			}
		case on && op < 5:
			b.apply(t, node, b.ended(state, siaran.EndStopped))
			delete(running, name)
		default:
			if !on {
				b.clock.Advance(time.Millisecond)
				state = b.broadcastOf(name)
			}
			state.Viewers = random.IntN(100)
			running[name] = state
			b.apply(t, node, live(state))
		}
	}
	list, err := b.l.Streams(t.Context(), siaran.StreamQuery{Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[siaran.StreamName]siaran.Stream)
	for _, s := range list {
		if slices.Contains(names, s.Name) {
			want[s.Name] = s
		}
	}
	v.wait(t, fmt.Sprintf("what is listed: %+v", want), func() bool { return reflect.DeepEqual(v.streams, want) })
}
