package listingtest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran"
)

var streamTests = map[string]func(*testing.T, *bench){
	"unknown":                        testUnknown,
	"edit":                           testEdit,
	"edits of many at once":          testEditTogether,
	"rotate keys":                    testRotate,
	"rotate keys, many at once":      testRotateTogether,
	"order, filters and limits":      testStreams,
	"claim":                          testClaim,
	"names of one owner":             testNames,
	"the first owner keeps it":       testOwner,
	"keys end with their owner":      testOwnerAndKeys,
	"edits and claims leave it live": testEditLive,
}

func testUnknown(t *testing.T, b *bench) {
	name := streamName()
	if _, err := b.l.Stream(t.Context(), name); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Errorf("Stream: %v, want ErrUnknownStream", err)
	}
	if v, err := b.l.Viewers(t.Context(), name); err != nil || len(v) != 0 {
		t.Errorf("Viewers: %v, %v", v, err)
	}
	if h, err := b.l.Broadcasts(t.Context(), name, 10); err != nil || len(h) != 0 {
		t.Errorf("Broadcasts: %v, %v", h, err)
	}
	if n, err := b.l.Sweep(t.Context(), "node-"+random()); err != nil || n != 0 {
		t.Errorf("Sweep: %v, %v", n, err)
	}
	if err := b.l.Apply(t.Context(), siaran.Update{Node: "node-" + random(), At: b.clock.Now()}); err != nil {
		t.Errorf("Apply of nothing: %v", err)
	}
}

func testEdit(t *testing.T, b *bench) {
	name := streamName()
	got, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{})
	if err != nil {
		t.Fatal(err)
	}
	want := siaran.Stream{Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline}
	check := func() {
		t.Helper()
		if got.UpdatedAt.IsZero() {
			t.Error("UpdatedAt is zero")
		}
		stored := b.stream(t, name)
		got.UpdatedAt, stored.UpdatedAt = time.Time{}, time.Time{}
		if !reflect.DeepEqual(got, want) || !reflect.DeepEqual(stored, want) {
			t.Fatalf("returned %+v\nstored   %+v\nwant     %+v", got, stored, want)
		}
	}
	check()

	title, private, owner := "Kucing's \"live\" 🐈\n<b>'); DROP TABLE streams;--", siaran.VisibilityPrivate, "someone"
	if got, err = b.l.Edit(t.Context(), name, siaran.StreamEdit{Title: &title, Visibility: &private}); err != nil {
		t.Fatal(err)
	}
	want.Title, want.Visibility = title, private
	check()
	if got, err = b.l.Edit(t.Context(), name, siaran.StreamEdit{Description: &title, Owner: &owner}); err != nil {
		t.Fatal(err)
	}
	want.Description, want.Owner, want.KeyGeneration = title, owner, 1
	check()
	most, sites := 120, siaran.EmbedSites("https://example.org https://*.example.org:8443")
	if got, err = b.l.Edit(t.Context(), name, siaran.StreamEdit{MaxViewers: &most, EmbedSites: &sites}); err != nil {
		t.Fatal(err)
	}
	want.MaxViewers, want.EmbedSites = most, sites
	check()
	most, sites = 0, siaran.NoSites
	if got, err = b.l.Edit(t.Context(), name, siaran.StreamEdit{MaxViewers: &most, EmbedSites: &sites}); err != nil {
		t.Fatal(err)
	}
	want.MaxViewers, want.EmbedSites = most, sites
	check()
	empty := ""
	if got, err = b.l.Edit(t.Context(), name, siaran.StreamEdit{Title: &empty}); err != nil {
		t.Fatal(err)
	}
	want.Title = ""
	check()
}

func testEditTogether(t *testing.T, b *bench) {
	name := streamName()
	title, description := "title", "description"
	together(t, func(ctx context.Context) error {
		_, err := b.l.Edit(ctx, name, siaran.StreamEdit{Title: &title})
		return err
	}, func(ctx context.Context) error {
		_, err := b.other.Edit(ctx, name, siaran.StreamEdit{Description: &description})
		return err
	}, func(ctx context.Context) error {
		return b.l.Claim(ctx, name, "node", "", 0)
	})
	if s := b.stream(t, name); s.Title != title || s.Description != description {
		t.Errorf("an edit is lost: %+v", s)
	}
}

func testRotate(t *testing.T, b *bench) {
	name := streamName()
	if _, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{}); err != nil {
		t.Fatal(err)
	}
	if g := b.stream(t, name).KeyGeneration; g != 0 {
		t.Errorf("a new stream has generation %d, want 0", g)
	}
	fresh := streamName()
	for _, name := range []siaran.StreamName{name, fresh} {
		for want := 1; want <= 3; want++ {
			g, err := b.l.RotateKeys(t.Context(), name)
			if err != nil || g != want {
				t.Fatalf("RotateKeys: %d, %v, want %d", g, err, want)
			}
			if s := b.stream(t, name); s.KeyGeneration != want || s.Visibility != siaran.VisibilityPublic {
				t.Fatalf("got %+v, want generation %d", s, want)
			}
		}
	}
}

func testRotateTogether(t *testing.T, b *bench) {
	name := streamName()
	const n = 8
	got := make([]int, n)
	var calls []func(context.Context) error
	for i := range n {
		calls = append(calls, func(ctx context.Context) (err error) {
			got[i], err = []siaran.Listing{b.l, b.other}[i%2].RotateKeys(ctx, name)
			return err
		})
	}
	together(t, calls...)
	slices.Sort(got)
	if !slices.Equal(got, []int{1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("generations %v, want 1 to %d, each once", got, n)
	}
}

// together makes all calls at the same time. Without a deadline they would be given 5 s, which transactions that get in
// each other's way may need on a busy machine.
func together(t *testing.T, calls ...func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var wg sync.WaitGroup
	for _, call := range calls {
		wg.Go(func() {
			if err := call(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func testStreams(t *testing.T, b *bench) {
	node := b.node(t)
	prefix := "s" + random()
	private := siaran.VisibilityPrivate
	name := func(s string) siaran.StreamName { return siaran.StreamName(prefix + "-" + s) }
	for _, s := range []string{"a", "m-private", "z"} { // offline
		edit := siaran.StreamEdit{}
		if s == "m-private" {
			edit.Visibility = &private
		}
		if _, err := b.l.Edit(t.Context(), name(s), edit); err != nil {
			t.Fatal(err)
		}
	}
	start := b.clock.Now()
	for s, age := range map[string]time.Duration{
		"old": 3 * time.Minute, "same-2": time.Minute, "same-1": time.Minute, "new": 0, "hidden": 2 * time.Minute,
	} {
		state := b.broadcastOf(name(s))
		state.StartedAt = start.Add(-age)
		if s == "same-1" {
			state.Status = siaran.StatusInterrupted
		}
		b.apply(t, node, live(state))
	}
	if _, err := b.l.Edit(t.Context(), name("hidden"), siaran.StreamEdit{Visibility: &private}); err != nil {
		t.Fatal(err)
	}
	owner := "firebase:" + prefix
	for _, s := range []string{"m-private", "z", "same-2"} {
		if _, err := b.l.Edit(t.Context(), name(s), siaran.StreamEdit{Owner: &owner}); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		query siaran.StreamQuery
		want  []string
	}{
		{siaran.StreamQuery{}, []string{"new", "same-1", "same-2", "old"}},
		{siaran.StreamQuery{Limit: 2}, []string{"new", "same-1"}},
		{siaran.StreamQuery{Limit: -1}, []string{"new", "same-1", "same-2", "old"}},
		{siaran.StreamQuery{Limit: math.MaxInt32}, []string{"new", "same-1", "same-2", "old"}},
		{siaran.StreamQuery{Private: true}, []string{"new", "same-1", "same-2", "hidden", "old"}},
		{siaran.StreamQuery{All: true}, []string{"new", "same-1", "same-2", "old", "a", "z"}},
		{siaran.StreamQuery{All: true, Private: true},
			[]string{"new", "same-1", "same-2", "hidden", "old", "a", "m-private", "z"}},
		{siaran.StreamQuery{Owner: owner}, []string{"same-2"}},
		{siaran.StreamQuery{All: true, Owner: owner}, []string{"same-2", "z"}},
		{siaran.StreamQuery{All: true, Private: true, Owner: owner, Limit: 2}, []string{"same-2", "m-private"}},
		{siaran.StreamQuery{All: true, Private: true, Owner: "nobody"}, nil},
		{siaran.StreamQuery{All: true, Private: true, Limit: 6}, []string{"new", "same-1", "same-2", "hidden", "old", "a"}},
	} {
		t.Run(fmt.Sprintf("%+v", c.query), func(t *testing.T) {
			list, err := b.other.Streams(t.Context(), c.query)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range list {
				got = append(got, string(s.Name)[len(prefix)+1:])
				one := b.stream(t, s.Name)
				if c.query.Owner == "" {
					one.Owner, one.KeyGeneration = "", 0
				}
				if !reflect.DeepEqual(one, s) {
					t.Errorf("in the list %+v\nalone       %+v", s, one)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func testClaim(t *testing.T, b *bench) {
	one, two := b.node(t), b.node(t)
	state := b.broadcast()
	claim := func(node string, want error) {
		t.Helper()
		if err := b.other.Claim(t.Context(), state.Stream, node, "", 0); !errors.Is(err, want) {
			t.Errorf("Claim by %s: %v, want %v", node, err, want)
		}
	}
	claim(one, nil)
	b.wantStatus(t, state.Stream, siaran.StatusOffline)
	b.apply(t, one, live(state))
	claim(one, nil)
	claim(two, siaran.ErrStreamTaken)
	b.wantStatus(t, state.Stream, siaran.StatusLive)
	state.Status = siaran.StatusInterrupted
	b.apply(t, one, live(state))
	claim(two, siaran.ErrStreamTaken)
	b.apply(t, one, b.ended(state, siaran.EndVanished))
	claim(two, nil)

	again := b.broadcastOf(state.Stream)
	b.apply(t, one, live(again))
	claim(two, siaran.ErrStreamTaken)
	b.outlive()
	claim(two, nil)
	b.renew(t, two)
	b.apply(t, two, live(b.broadcastOf(state.Stream)))
	claim(one, siaran.ErrStreamTaken)
	if s := b.stream(t, state.Stream); s.Node != two {
		t.Errorf("it is live on %q, want the one that claimed it from a dead node", s.Node)
	}
}

func testOwner(t *testing.T, b *bench) {
	one, two := b.node(t), b.node(t)
	name := streamName()
	claim := func(node, owner string, want error, kept string) {
		t.Helper()
		if err := b.l.Claim(t.Context(), name, node, owner, 0); !errors.Is(err, want) {
			t.Errorf("Claim by %q: %v, want %v", owner, err, want)
		}
		if s := b.stream(t, name); s.Owner != kept {
			t.Errorf("after a claim by %q the stream is %q's, want %q's", owner, s.Owner, kept)
		}
	}
	claim(one, "", nil, "")
	state := b.broadcastOf(name)
	b.apply(t, one, live(state))
	claim(two, "firebase:b", siaran.ErrStreamTaken, "") // and does not become hers
	claim(one, "firebase:a", nil, "firebase:a")
	claim(one, "firebase:a", nil, "firebase:a")
	claim(one, "firebase:b", siaran.ErrNotOwner, "firebase:a")
	claim(two, "firebase:b", siaran.ErrNotOwner, "firebase:a")
	claim(one, "", nil, "firebase:a")
	b.apply(t, one, b.ended(state, siaran.EndStopped))
	claim(two, "firebase:b", siaran.ErrNotOwner, "firebase:a")
	next := "firebase:b"
	if _, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{Owner: &next}); err != nil {
		t.Fatal(err)
	}
	claim(two, "firebase:a", siaran.ErrNotOwner, next)
	claim(two, next, nil, next)
	owners := []string{"firebase:c", "firebase:d", "firebase:e"}
	name = streamName()
	var wg sync.WaitGroup
	won := make([]bool, len(owners))
	for i, owner := range owners {
		wg.Go(func() {
			err := []siaran.Listing{b.l, b.other}[i%2].Claim(t.Context(), name, one, owner, 0)
			if won[i] = err == nil; err != nil && !errors.Is(err, siaran.ErrNotOwner) {
				t.Errorf("Claim: %v", err)
			}
		})
	}
	wg.Wait()
	winners := 0
	for i, w := range won {
		if w {
			winners++
			if s := b.stream(t, name); s.Owner != owners[i] {
				t.Errorf("%s claimed the stream, which is %q's", owners[i], s.Owner)
			}
		}
	}
	if winners != 1 {
		t.Errorf("%d accounts claimed the same new stream, want 1", winners)
	}
}

// testNames checks that an owner gets no more names than allowed, however many it asks for at once, on any server.
func testNames(t *testing.T, b *bench) {
	const most, asked = 3, 8
	node, owner := b.node(t), "firebase:"+string(streamName())
	names := make([]siaran.StreamName, asked)
	errs := make([]error, asked)
	var wg sync.WaitGroup
	for i := range asked {
		names[i] = streamName()
		wg.Go(func() {
			errs[i] = []siaran.Listing{b.l, b.other}[i%2].Claim(t.Context(), names[i], node, owner, most)
		})
	}
	wg.Wait()
	kept := 0
	for i, err := range errs {
		switch {
		case err == nil:
			kept++
			if err := b.l.Claim(t.Context(), names[i], node, owner, most); err != nil {
				t.Errorf("Claim of a name that it keeps: %v", err)
			}
		case !errors.Is(err, siaran.ErrTooManyNames):
			t.Errorf("Claim: %v", err)
		default:
			if _, err := b.l.Stream(t.Context(), names[i]); !errors.Is(err, siaran.ErrUnknownStream) {
				t.Errorf("what failed made a stream: %v", err)
			}
		}
	}
	list, err := b.l.Streams(t.Context(), siaran.StreamQuery{All: true, Private: true, Owner: owner})
	if err != nil || kept != most || len(list) != most {
		t.Errorf("%d claims were taken and %d streams are kept (%v), want %d", kept, len(list), err, most)
	}
	if err := b.l.Claim(t.Context(), streamName(), node, owner+"2", most); err != nil {
		t.Errorf("another owner: %v", err)
	}
	if err := b.l.Claim(t.Context(), streamName(), node, owner, 0); err != nil {
		t.Errorf("without a bound: %v", err)
	}
}

// testOwnerAndKeys checks that an owner's keys are void for the next owner, and that nobody gets the stream between the
// two.
func testOwnerAndKeys(t *testing.T, b *bench) {
	name := streamName()
	give := func(owner *string, want int) {
		t.Helper()
		s, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{Owner: owner})
		if err != nil || s.KeyGeneration != want {
			t.Errorf("Edit: generation %d, %v, want %d", s.KeyGeneration, err, want)
		}
		if s := b.stream(t, name); s.KeyGeneration != want {
			t.Errorf("generation %d is stored, want %d", s.KeyGeneration, want)
		}
	}
	ana, budi, nobody := "firebase:ana", "firebase:budi", ""
	if err := b.l.Claim(t.Context(), name, "node", ana, 0); err != nil {
		t.Fatal(err)
	}
	give(nil, 0)
	give(&ana, 0)
	give(&budi, 1)
	give(&budi, 1)
	give(&nobody, 2)
	give(&ana, 3)
	if g, err := b.l.RotateKeys(t.Context(), name); err != nil || g != 4 {
		t.Errorf("RotateKeys: %d, %v, want 4", g, err)
	}
	owners := make([]func(context.Context) error, 8)
	for i := range owners {
		owner := "firebase:" + string(rune('c'+i))
		owners[i] = func(ctx context.Context) error {
			_, err := []siaran.Listing{b.l, b.other}[i%2].Edit(ctx, name, siaran.StreamEdit{Owner: &owner})
			return err
		}
	}
	together(t, owners...)
	give(nil, 4+len(owners))
}

func testEditLive(t *testing.T, b *bench) {
	node := b.node(t)
	state := b.broadcast()
	b.apply(t, node, live(state, b.viewers(2)...))
	before := b.stream(t, state.Stream)
	title := "new"
	if _, err := b.l.Edit(t.Context(), state.Stream, siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.l.RotateKeys(t.Context(), state.Stream); err != nil {
		t.Fatal(err)
	}
	if err := b.l.Claim(t.Context(), state.Stream, node, "", 0); err != nil {
		t.Fatal(err)
	}
	after := b.stream(t, state.Stream)
	before.Title, before.KeyGeneration, before.UpdatedAt = title, 1, after.UpdatedAt
	if !reflect.DeepEqual(after, before) {
		t.Errorf("got  %+v\nwant %+v", after, before)
	}
}
