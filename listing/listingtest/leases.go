package listingtest

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"siaran"
)

var leaseTests = map[string]func(*testing.T, *bench){
	"nothing is live without one":        testNoLease,
	"runs out and is renewed":            testExpiry,
	"is given back":                      testGivenBack,
	"servers":                            testNode,
	"sweep of a node's own":              testSweepOwn,
	"sweep of the dead":                  testSweepDead,
	"what was swept lives":               testSweptLives,
	"what was swept has ended otherwise": testSweptEnded,
	"what ended with its server goes on": testServerIsBack,
	"a dead node's stream elsewhere":     testDeadElsewhere,
}

func testNoLease(t *testing.T, b *bench) {
	node := "node-" + random()
	state := b.broadcast()
	watching := b.viewers(2)
	b.apply(t, node, live(state, watching...))
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	b.wantViewers(t, state.Stream, nil)
	b.renew(t, node)
	b.wantStatus(t, state.Stream, siaran.StatusLive)
	b.wantViewers(t, state.Stream, watching)
}

func testExpiry(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	watching := b.viewers(2)
	b.apply(t, node, live(state, watching...))
	before := b.stream(t, state.Stream)
	b.clock.Advance(lease - time.Millisecond)
	b.wantStatus(t, state.Stream, siaran.StatusLive)
	b.clock.Advance(time.Millisecond + b.margin)
	got := b.stream(t, state.Stream)
	want := siaran.Stream{
		Name:       state.Stream,
		Visibility: siaran.VisibilityPublic,
		Status:     siaran.StatusOffline,
		UpdatedAt:  got.UpdatedAt,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	b.wantViewers(t, state.Stream, nil)
	for _, q := range []siaran.StreamQuery{{Limit: 1000}, {Limit: 1000, All: true}} {
		list, err := b.other.Streams(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, s := range list {
			if s.Name == state.Stream {
				found = true
				if s.Status != siaran.StatusOffline {
					t.Errorf("Streams(%+v) has %+v", q, s)
				}
			}
		}
		if found != q.All {
			t.Errorf("Streams(%+v): found %v", q, found)
		}
	}
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].Status != siaran.StatusOffline ||
		h[0].EndReason != siaran.EndCrashed ||
		h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that crashed", h)
	}

	b.renew(t, node)
	if after := b.stream(t, state.Stream); !reflect.DeepEqual(after, before) {
		t.Errorf("got  %+v\nwant %+v", after, before)
	}
	b.wantViewers(t, state.Stream, watching)
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].Status != siaran.StatusLive || !h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that lasts", h)
	}
}

func testGivenBack(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state))
	if err := b.l.Renew(t.Context(), siaran.Node{Name: node, LeaseUntil: b.clock.Now()}); err != nil {
		t.Fatal(err)
	}
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
}

func testNode(t *testing.T, b *bench) {
	unknown := func(when, name string) {
		t.Helper()
		if n, err := b.other.Node(t.Context(), name); !errors.Is(err, siaran.ErrUnknownNode) {
			t.Errorf("%s: %+v, %v, want ErrUnknownNode", when, n, err)
		}
	}
	known := func(when string, want siaran.Node) {
		t.Helper()
		got, err := b.other.Node(t.Context(), want.Name)
		if err != nil || got.Name != want.Name || got.URL != want.URL || got.Viewers != want.Viewers ||
			got.LeaseUntil.Before(b.clock.Now()) {
			t.Errorf("%s: %+v, %v, want %+v", when, got, err, want)
		}
	}
	renew := func(n siaran.Node) {
		t.Helper()
		if err := b.l.Renew(t.Context(), n); err != nil {
			t.Fatal("Renew:", err)
		}
	}
	unknown("never heard of", "node-"+random())
	n := siaran.Node{
		Name:       "node-" + random() + "/1",
		URL:        "https://one.example/live",
		LeaseUntil: b.clock.Now().Add(lease),
		Viewers:    3,
	}
	renew(n)
	known("renewed", n)
	n.URL, n.Viewers = "", 0
	renew(n)
	known("without a URL", n)
	b.clock.Advance(lease - time.Millisecond)
	known("to the last", n)
	b.clock.Advance(time.Millisecond + b.margin)
	unknown("run out", n.Name)
	n.LeaseUntil = b.clock.Now().Add(lease)
	renew(n)
	known("again", n)
	n.LeaseUntil = b.clock.Now()
	renew(n)
	unknown("given back", n.Name)
}

func testSweepOwn(t *testing.T, b *bench) {
	mine, others := b.node(t), b.node(t)
	dead := "node-" + random() // whose lease has run out: not asked for
	one, two, running, lost := b.broadcast(), b.broadcast(), b.broadcast(), b.broadcast()
	ended := b.broadcast()
	watching := b.viewers(2)
	b.apply(t, mine, live(one, b.viewers(3)...), live(two), b.ended(ended, siaran.EndStopped))
	b.apply(t, others, live(running, watching...))
	b.apply(t, dead, live(lost))
	b.clock.Advance(time.Second)

	b.sweep(t, mine, 2)
	b.wantStatus(t, one.Stream, siaran.StatusOffline)
	b.wantViewers(t, one.Stream, nil)
	b.wantStatus(t, running.Stream, siaran.StatusLive)
	b.wantViewers(t, running.Stream, watching)
	h := b.history(t, one.Stream)
	if len(h) != 1 || h[0].Status != siaran.StatusOffline || h[0].EndReason != siaran.EndCrashed ||
		h[0].EndedAt.Before(one.StartedAt) ||
		h[0].EndedAt.After(b.clock.Now()) {
		t.Errorf("history %+v, want one that crashed", h)
	}
	if h := b.history(t, ended.Stream); len(h) != 1 || h[0].EndReason != siaran.EndStopped {
		t.Errorf("history %+v, want one that was stopped", h)
	}
	b.sweep(t, mine, 0)
	b.renew(t, mine)
	b.wantStatus(t, one.Stream, siaran.StatusOffline)
	b.wantViewers(t, one.Stream, nil)
	b.renew(t, dead)
	b.wantStatus(t, lost.Stream, siaran.StatusLive)
}

func (b *bench) sweep(t *testing.T, node string, want int) {
	t.Helper()
	if n, err := b.other.Sweep(t.Context(), node); err != nil || n != want {
		t.Errorf("Sweep(%q): %d, %v, want %d", node, n, err, want)
	}
}

func testSweepDead(t *testing.T, b *bench) {
	dead := b.node(t)
	unknown := "node-" + random()
	one, two := b.broadcast(), b.broadcast()
	b.apply(t, dead, live(one, b.viewers(3)...))
	b.apply(t, unknown, live(two))
	b.outlive()
	alive := b.node(t)
	running := b.broadcast()
	watching := b.viewers(2)
	b.apply(t, alive, live(running, watching...))
	b.clock.Advance(lease / 2)

	b.sweep(t, "", 2)
	b.sweep(t, "", 0)
	b.wantStatus(t, running.Stream, siaran.StatusLive)
	b.wantViewers(t, running.Stream, watching)
	b.renew(t, dead)
	b.renew(t, unknown)
	for _, s := range []siaran.BroadcastState{one, two} {
		b.wantStatus(t, s.Stream, siaran.StatusOffline)
		b.wantViewers(t, s.Stream, nil)
		if h := b.history(t, s.Stream); len(h) != 1 || h[0].EndReason != siaran.EndCrashed {
			t.Errorf("history %+v, want one that crashed", h)
		}
	}
}

func testSweptLives(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	watching := b.viewers(2)
	b.apply(t, node, live(state, watching...))
	b.sweep(t, node, 1)
	b.renew(t, node)
	b.apply(t, node, live(state, watching...))
	b.wantStatus(t, state.Stream, siaran.StatusLive)
	b.wantViewers(t, state.Stream, watching)
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].Status != siaran.StatusLive || h[0].EndReason != "" ||
		!h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that lasts", h)
	}
}

func testSweptEnded(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state))
	b.sweep(t, node, 1)
	b.clock.Advance(time.Second)
	b.apply(t, node, b.ended(state, siaran.EndByOwner))
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].EndReason != siaran.EndByOwner ||
		!sameTime(h[0].EndedAt, b.clock.Now()) {
		t.Errorf("history %+v, want one that its owner ended", h)
	}
}

func testDeadElsewhere(t *testing.T, b *bench) {
	dead := b.node(t)
	state := b.broadcast()
	state.StartedAt = state.StartedAt.Add(time.Minute) // by a clock that is fast
	b.apply(t, dead, live(state, b.viewers(1)...))
	b.outlive()
	node := b.node(t)
	next := b.broadcastOf(state.Stream)
	watching := b.viewers(1)
	b.apply(t, node, live(next, watching...))
	b.sweep(t, "", 0)
	if s := b.stream(t, next.Stream); s.Node != node || s.BroadcastID != next.ID || s.Status != siaran.StatusLive {
		t.Errorf("got %+v, want it live on the node that lives", s)
	}
	b.wantViewers(t, next.Stream, watching)
}

// testServerIsBack: a server is started again, and the broadcasters of the one before come back.
func testServerIsBack(t *testing.T, b *bench) {
	node := b.node(t)
	state, over := b.broadcast(), b.broadcast()
	b.apply(t, node, live(state), live(over))
	b.apply(t, node, b.ended(state, siaran.EndShutdown), b.ended(over, siaran.EndStopped))
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	b.clock.Advance(time.Second)
	u := siaran.Update{Node: node, At: b.clock.Now(), Changes: []siaran.Change{live(state), live(over)}}
	if err := b.other.Apply(t.Context(), u); err != nil { // as another process
		t.Fatal(err)
	}
	if h := b.history(t, state.Stream); len(h) != 1 || h[0].Status != siaran.StatusLive || h[0].EndReason != "" ||
		!h[0].EndedAt.IsZero() {
		t.Errorf("history %+v, want one that lasts", h)
	}
	if h := b.history(t, over.Stream); len(h) != 1 || h[0].EndReason != siaran.EndStopped {
		t.Errorf("history %+v, want one that was stopped", h)
	}
}
