package listing

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// TestFirestoreListsAreShared has many ask for all that is known, in all ways: nobody can make that dear.
func TestFirestoreListsAreShared(t *testing.T) {
	cfg := FirestoreConfig{Project: emulator.Project()}
	f, other := openFirestore(t, cfg), openFirestore(t, cfg)
	ctx := t.Context()
	const known = 40
	var wg sync.WaitGroup
	for i := range known {
		wg.Go(func() {
			if _, err := other.Edit(ctx, siaran.StreamName(fmt.Sprintf("s%02d", i)), siaran.StreamEdit{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := f.Renew(ctx, siaran.Node{Name: "n", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it has listened", func() bool { _, ok := f.mirror.allLive(true); return ok })

	all := func(limit int) []siaran.Stream {
		t.Helper()
		list, err := f.Streams(ctx, siaran.StreamQuery{All: true, MayLag: true, Limit: limit})
		if err != nil {
			t.Error(err)
		}
		return list
	}
	before := f.Stats().Reads
	for i := range 300 {
		wg.Go(func() {
			limit := 1 + i*3
			if n := len(all(limit)); n != min(limit, known) {
				t.Errorf("%d are listed, want %d", n, min(limit, known))
			}
		})
	}
	wg.Wait()
	if n := f.Stats().Reads - before; n > 4*known {
		t.Errorf("%d documents were read for 300 who asked, want each twice, and those of a lease now and then", n)
	}

	title, private := "new", siaran.VisibilityPrivate
	for name, edit := range map[siaran.StreamName]siaran.StreamEdit{"s00": {Title: &title}, "s01": {Visibility: &private}, "s00-new": {}} {
		if _, err := f.Edit(ctx, name, edit); err != nil {
			t.Fatal(err)
		}
	}
	for _, limit := range []int{defaultLimit, maxLimit} {
		if list := all(limit); len(list) != known || list[0].Title != title || list[1].Name != "s00-new" || list[2].Name != "s02" {
			t.Errorf("after its own edits the server lists %d, and first %+v", len(list), list[:3])
		}
	}
	s := state("s39", siaran.StatusLive)
	s.StartedAt = time.Now()
	if err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: []siaran.Change{{State: s}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "what is live comes first", func() bool {
		list := all(2)
		return len(list) == 2 && list[0].Name == "s39" && list[0].Status == siaran.StatusLive && list[1].Name == "s00"
	})

	if _, err := other.Edit(ctx, "s03", siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	f.lists.small.mu.Lock()
	f.lists.small.until = time.Now() // as if its time had passed
	f.lists.small.mu.Unlock()
	if list := all(defaultLimit); list[4].Name != "s03" || list[4].Title != title {
		t.Errorf("what another server has changed is %+v", list[:5])
	}
}

// TestSharedListOfOneWhoGoes has somebody ask and go: the answer is for all the same.
func TestSharedListOfOneWhoGoes(t *testing.T) {
	var s sharedList
	asked := 0
	ctx, cancel := context.WithCancel(t.Context())
	ask := func(inner context.Context) ([]streamRow, error) {
		asked++
		cancel()
		return []streamRow{{Name: "cats"}}, inner.Err()
	}
	for range 3 {
		if rows, err := s.get(ctx, time.Minute, ask); err != nil || len(rows) != 1 {
			t.Errorf("%v, %v", rows, err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}
