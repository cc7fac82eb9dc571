package listingtest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"

	"siaran"
)

var deleteTests = map[string]func(*testing.T, *bench){
	"nothing is left but void keys":     testDelete,
	"not while it is live":              testDeleteLive,
	"of a server that has died":         testDeleteDead,
	"a name that is used again":         testDeleteRenew,
	"a broadcast that begins meanwhile": testDeleteRace,
	"many at once":                      testDeleteTogether,
	"lists":                             testDeleteLists,
}

// kept makes a stream with everything that one can have: a title, an owner, key generation 2 and a history.
func (b *bench) kept(t *testing.T) (stream siaran.Stream, node string, last siaran.BroadcastState) {
	t.Helper()
	node, last = b.node(t), b.broadcast()
	b.apply(t, node, live(last, b.viewers(2)...))
	b.apply(t, node, b.ended(last, siaran.EndStopped))
	text, owner := "title", "firebase:"+random()
	most, sites := 5, siaran.NoSites
	edit := siaran.StreamEdit{Title: &text, Description: &text, Owner: &owner, MaxViewers: &most, EmbedSites: &sites}
	if _, err := b.l.Edit(t.Context(), last.Stream, edit); err != nil {
		t.Fatal(err)
	}
	if _, err := b.l.RotateKeys(t.Context(), last.Stream); err != nil {
		t.Fatal(err)
	}
	return b.stream(t, last.Stream), node, last
}

func (b *bench) delete(t *testing.T, name siaran.StreamName) {
	t.Helper()
	if err := b.l.Delete(t.Context(), name); err != nil {
		t.Fatal("Delete:", err)
	}
}

// wantGone checks that nothing is left of a stream but its key generation.
func (b *bench) wantGone(t *testing.T, name siaran.StreamName, generation int) {
	t.Helper()
	for _, l := range []siaran.Listing{b.l, b.other} {
		s, err := l.Stream(t.Context(), name)
		want := siaran.Stream{Name: name, KeyGeneration: generation}
		if !errors.Is(err, siaran.ErrUnknownStream) || !reflect.DeepEqual(s, want) {
			t.Errorf("Stream: %+v, %v, want generation %d and ErrUnknownStream", s, err, generation)
		}
		list, err := l.Streams(t.Context(), siaran.StreamQuery{All: true, Private: true})
		if err != nil {
			t.Error("Streams:", err)
		}
		for _, s := range list {
			if s.Name == name {
				t.Errorf("listed: %+v", s)
			}
		}
		if v, err := l.Viewers(t.Context(), name); err != nil || len(v) != 0 {
			t.Errorf("Viewers: %v, %v", v, err)
		}
		if h, err := l.Broadcasts(t.Context(), name, 10); err != nil || len(h) != 0 {
			t.Errorf("Broadcasts: %v, %v", h, err)
		}
	}
}

func testDelete(t *testing.T, b *bench) {
	if err := b.l.Delete(t.Context(), streamName()); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Errorf("Delete of nothing: %v, want ErrUnknownStream", err)
	}
	before, node, last := b.kept(t)
	if before.KeyGeneration != 2 {
		t.Fatalf("generation %d, want 2", before.KeyGeneration)
	}
	b.delete(t, before.Name)
	b.wantGone(t, before.Name, 3)
	if err := b.other.Delete(t.Context(), before.Name); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Errorf("Delete of a deleted stream: %v, want ErrUnknownStream", err)
	}
	b.apply(t, node, b.ended(last, siaran.EndStopped)) // told once more
	b.wantGone(t, before.Name, 3)
	list, err := b.l.Streams(t.Context(), siaran.StreamQuery{All: true, Private: true, Owner: before.Owner})
	if err != nil || len(list) != 0 {
		t.Errorf("its owner keeps %v, %v", list, err)
	}
}

func testDeleteLive(t *testing.T, b *bench) {
	node, state := b.node(t), b.broadcast()
	for _, status := range []siaran.Status{siaran.StatusLive, siaran.StatusInterrupted} {
		state.Status = status
		b.apply(t, node, live(state))
		before := b.stream(t, state.Stream)
		if err := b.other.Delete(t.Context(), state.Stream); !errors.Is(err, siaran.ErrStreamLive) {
			t.Errorf("Delete while %s: %v, want ErrStreamLive", status, err)
		}
		if after := b.stream(t, state.Stream); !reflect.DeepEqual(after, before) {
			t.Errorf("got  %+v\nwant %+v", after, before)
		}
		if h := b.history(t, state.Stream); len(h) != 1 {
			t.Errorf("history %v", h)
		}
	}
}

func testDeleteDead(t *testing.T, b *bench) {
	node, state := b.node(t), b.broadcast()
	b.apply(t, node, live(state, b.viewers(2)...))
	b.outlive()
	b.delete(t, state.Stream)
	b.wantGone(t, state.Stream, 1)
	if _, err := b.other.Sweep(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	b.wantGone(t, state.Stream, 1)
}

func testDeleteRenew(t *testing.T, b *bench) {
	title, owner := "another", "firebase:"+random()
	for what, tt := range map[string]struct {
		use  func(siaran.StreamName) error
		want siaran.Stream
	}{
		"claimed": {func(name siaran.StreamName) error {
			return b.other.Claim(t.Context(), name, "node", owner, 1)
		}, siaran.Stream{Owner: owner, KeyGeneration: 3}},
		"claimed with a key": {func(name siaran.StreamName) error {
			return b.other.Claim(t.Context(), name, "node", "", 0)
		}, siaran.Stream{KeyGeneration: 3}},
		"edited": {func(name siaran.StreamName) error {
			_, err := b.other.Edit(t.Context(), name, siaran.StreamEdit{Title: &title})
			return err
		}, siaran.Stream{Title: title, KeyGeneration: 3}},
		"its keys renewed": {func(name siaran.StreamName) error {
			_, err := b.other.RotateKeys(t.Context(), name)
			return err
		}, siaran.Stream{KeyGeneration: 4}},
	} {
		t.Run(what, func(t *testing.T) {
			before, _, _ := b.kept(t)
			b.delete(t, before.Name)
			if err := tt.use(before.Name); err != nil {
				t.Fatal(err)
			}
			want, got := tt.want, b.stream(t, before.Name)
			want.Name, want.Visibility, want.Status = before.Name, siaran.VisibilityPublic, siaran.StatusOffline
			if got.UpdatedAt.IsZero() {
				t.Error("UpdatedAt is zero")
			}
			if want.UpdatedAt = got.UpdatedAt; !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
			if h := b.history(t, before.Name); len(h) != 0 {
				t.Errorf("it has the history of the one before: %v", h)
			}
			b.delete(t, before.Name)
			b.wantGone(t, before.Name, want.KeyGeneration+1)
		})
	}
}

// testDeleteRace begins a broadcast that was allowed before the stream was deleted: it gets none of the rights from
// before, and is not shown with them.
func testDeleteRace(t *testing.T, b *bench) {
	before, node, _ := b.kept(t)
	state := b.broadcastOf(before.Name)
	b.delete(t, before.Name)
	b.apply(t, node, live(state))
	b.wantStatus(t, before.Name, siaran.StatusLive)
	s := b.stream(t, before.Name)
	if s.Visibility != siaran.VisibilityPrivate || s.KeyGeneration != 3 || s.Owner != "" || s.Title != "" {
		t.Errorf("got %+v", s)
	}
	if err := b.l.Delete(t.Context(), before.Name); !errors.Is(err, siaran.ErrStreamLive) {
		t.Errorf("Delete: %v, want ErrStreamLive", err)
	}
}

func testDeleteTogether(t *testing.T, b *bench) {
	before, _, _ := b.kept(t)
	const n = 4
	done := make([]bool, n)
	var calls []func(context.Context) error
	for i := range n {
		calls = append(calls, func(ctx context.Context) error {
			err := []siaran.Listing{b.l, b.other}[i%2].Delete(ctx, before.Name)
			if done[i] = err == nil; !errors.Is(err, siaran.ErrUnknownStream) {
				return err
			}
			return nil
		})
	}
	together(t, calls...)
	count := 0
	for _, d := range done {
		if d {
			count++
		}
	}
	if count != 1 {
		t.Errorf("deleted %d times, want once", count)
	}
	b.wantGone(t, before.Name, 3)
}

// testDeleteLists checks that deleted streams take no places in lists.
func testDeleteLists(t *testing.T, b *bench) {
	prefix := "s" + random()
	for i := range 9 {
		name := siaran.StreamName(fmt.Sprintf("%s-%d", prefix, i))
		if _, err := b.l.Edit(t.Context(), name, siaran.StreamEdit{}); err != nil {
			t.Fatal(err)
		}
		if i%3 != 2 {
			b.delete(t, name)
		}
	}
	for _, q := range []siaran.StreamQuery{
		{All: true}, {All: true, Private: true}, {All: true, Private: true, Limit: 2},
	} {
		list, err := b.l.Streams(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		var got []siaran.StreamName
		for _, s := range list {
			got = append(got, s.Name)
		}
		want := []siaran.StreamName{
			siaran.StreamName(prefix + "-2"), siaran.StreamName(prefix + "-5"), siaran.StreamName(prefix + "-8"),
		}
		if q.Limit > 0 {
			want = want[:q.Limit]
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %v, want %v", q, got, want)
		}
	}
}
