package firestore

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing"
	"siaran/listing/firestore/emulator"
	"siaran/listing/listingtest"
)

// TestListsAreShared has many ask for everything that is known: nobody can make that expensive.
func TestListsAreShared(t *testing.T) {
	cfg := Config{Project: emulator.Project()}
	f, other := open(t, cfg), open(t, cfg)
	c := listing.NewCached(f)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute) // a busy machine takes long for 40 at once
	defer cancel()
	const known = 40
	var wg sync.WaitGroup
	for i := range known {
		wg.Go(func() {
			name := siaran.StreamName(fmt.Sprintf("s%02d", i))
			if _, err := other.Edit(ctx, name, siaran.StreamEdit{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := f.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "it has listened", func() bool { _, ok := f.RecallAllLive(); return ok })

	all := func() []siaran.Stream {
		t.Helper()
		list, err := c.AllList(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return list.Streams
	}
	before := f.Stats().Reads
	for range 300 {
		wg.Go(func() {
			if list, err := c.AllList(ctx); err != nil || len(list.Streams) != known {
				t.Errorf("listed are %v, %v, want %d", list, err, known)
			}
		})
	}
	wg.Wait()
	if n := f.Stats().Reads - before; n > 2*known {
		t.Errorf("%d documents were read for 300 who asked, want each once, and those of a lease now and then", n)
	}

	title, private := "new", siaran.VisibilityPrivate
	for name, edit := range map[siaran.StreamName]siaran.StreamEdit{
		"s00": {Title: &title}, "s01": {Visibility: &private}, "s00-new": {},
	} {
		if _, err := c.Edit(ctx, name, edit); err != nil {
			t.Fatal(err)
		}
	}
	testutil.Eventually(t, "the server lists its own edits", func() bool {
		list := all()
		return len(list) == known && list[0].Title == title && list[1].Name == "s00-new" && list[2].Name == "s02"
	})
	if err := c.Delete(ctx, "s04"); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "what it has deleted is not listed", func() bool {
		return !slices.ContainsFunc(all(), func(s siaran.Stream) bool { return s.Name == "s04" })
	})
	s := listingtest.State("s39", siaran.StatusLive)
	s.StartedAt = time.Now()
	err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s}}})
	if err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "what is live comes first", func() bool {
		list := all()
		return list[0].Name == "s39" && list[0].Status == siaran.StatusLive && list[1].Name == "s00"
	})
	if n := f.Stats().Reads - before; n > 3*known {
		t.Errorf("%d documents were read, want what has changed and no second list", n)
	}
}

// TestRecall: what was looked up a moment ago is known without the database, and never older than what memory knows.
func TestRecall(t *testing.T) {
	t.Parallel()
	cfg := Config{Project: emulator.Project()}
	f, other := open(t, cfg), open(t, cfg)
	c := listing.NewCached(f)
	ctx := t.Context()
	title := "Cats"
	if _, err := other.Edit(ctx, "cats", siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stream(ctx, "cats"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Stream(ctx, "dogs"); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Fatal(err)
	}
	if s, found, ok := c.Recent("cats"); !ok || !found || s.Title != title || s.Status != siaran.StatusOffline {
		t.Errorf("cats are %+v, %v, %v", s, found, ok)
	}
	if err := other.Renew(ctx, siaran.Node{Name: "there", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	state := listingtest.State("cats", siaran.StatusLive)
	state.StartedAt = time.Now()
	u := siaran.Update{Node: "there", At: time.Now(), Changes: []siaran.Change{{State: state}}}
	if err := other.Apply(ctx, u); err != nil {
		t.Fatal(err)
	}
	testutil.Eventually(t, "it recalls that they are live elsewhere", func() bool {
		if err := f.ask(ctx, listing.CallTimeout); err != nil { // as a lease would keep it in touch
			t.Fatal(err)
		}
		s, found, ok := c.Recent("cats")
		return ok && found && s.Status == siaran.StatusLive && s.Node == "there"
	})
}
