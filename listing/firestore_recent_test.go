package listing

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// TestFirestoreRecall: what was looked up a moment ago is known without the database, and never older than what this server knows better.
func TestFirestoreRecall(t *testing.T) {
	t.Parallel()
	cfg := FirestoreConfig{Project: emulator.Project()}
	f, other := openFirestore(t, cfg), openFirestore(t, cfg)
	ctx := t.Context()
	title, newer := "Cats", "More cats"
	if _, err := other.Edit(ctx, "cats", siaran.StreamEdit{Title: &title}); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := f.Recall("cats"); ok {
		t.Error("it recalls what it has never read")
	}
	if _, err := f.Stream(ctx, "cats"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Stream(ctx, "dogs"); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Fatal(err)
	}
	if s, there, ok := f.Recall("cats"); !ok || !there || s.Title != title || s.Status != siaran.StatusOffline {
		t.Errorf("cats are %+v, %v, %v", s, there, ok)
	}
	if _, there, ok := f.Recall("dogs"); !ok || there {
		t.Errorf("dogs are there: %v, %v", there, ok)
	}

	for _, name := range []siaran.StreamName{"cats", "dogs"} {
		if _, err := f.Edit(ctx, name, siaran.StreamEdit{Title: &newer}); err != nil {
			t.Fatal(err)
		}
		if s, there, ok := f.Recall(name); ok && (!there || s.Title != newer) {
			t.Errorf("after its own edit %s is recalled as %+v, %v", name, s, there)
		}
		if _, err := f.Stream(ctx, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Renew(ctx, siaran.Node{Name: "there", LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	live := state("cats", siaran.StatusLive)
	live.StartedAt = time.Now()
	if err := other.Apply(ctx, siaran.Update{Node: "there", At: time.Now(), Changes: []siaran.Change{{State: live}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it recalls that they are live elsewhere", func() bool {
		if err := f.ask(ctx, callTimeout); err != nil { // as a lease would keep it in touch
			t.Fatal(err)
		}
		s, there, ok := f.Recall("cats")
		return ok && there && s.Status == siaran.StatusLive && s.Node == "there"
	})
}

func TestRecentIsBounded(t *testing.T) {
	r := recent{byName: make(map[siaran.StreamName]lookedUp)}
	for i := range 2 * maxRecent {
		r.put(siaran.StreamName(fmt.Sprint("s", i)), streamRow{}, false, 0)
	}
	if len(r.byName) != maxRecent {
		t.Errorf("%d are kept", len(r.byName))
	}
	begun := r.begin()
	r.forget("cats")
	r.put("cats", streamRow{}, true, begun)
	if _, known := r.get("cats"); known {
		t.Error("what was read before an edit is kept after it")
	}
}
