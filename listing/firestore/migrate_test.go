package firestore

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/firestore/emulator"
)

// oldStream is the document of a stream as servers wrote it before there were documents of rights.
func oldStream(owner string, generation int) fields {
	m := newStream(time.Now())
	m["owner"], m["keyGeneration"] = owner, generation
	return m
}

// TestMove begins with a database that an older server has written and still uses. Until that has gone, everything
// stays where it looks for it; then it is moved. What is told of rights is the same all the time.
func TestMove(t *testing.T) {
	t.Parallel()
	ctx, project := t.Context(), emulator.Project()
	before := open(t, Config{Project: project})
	testutil.Eventually(t, "nothing is there to move", before.migrated.Load)
	lease := func(until time.Time) {
		t.Helper()
		if _, err := before.node("older").Set(ctx, map[string]any{"url": "", "leaseUntil": until}); err != nil {
			t.Fatal(err)
		}
	}
	lease(time.Now().Add(time.Hour))
	want := make(map[siaran.StreamName]rights)
	for i := range 2*migrateBatch + 3 {
		name := siaran.StreamName(fmt.Sprintf("s%03d", i))
		want[name] = rights{[]string{alice, bob, ""}[i%3], i % 2}
	}
	for name, r := range want {
		if _, err := before.stream(name).Set(ctx, map[string]any(oldStream(r.owner, r.generation))); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, Config{Project: project, Logger: testLogger(t), migrate: 20 * time.Millisecond})
	check := func(when string) {
		t.Helper()
		for name, r := range want {
			s, err := f.Stream(ctx, name)
			if err != nil || s.Owner != r.owner || s.KeyGeneration != r.generation {
				t.Errorf("%s, %s is %+v, %v; want %+v", when, name, s, err, r)
			}
		}
		list, err := f.Streams(ctx, siaran.StreamQuery{All: true, Private: true, Owner: alice})
		n := 0
		for _, r := range want {
			if r.owner == alice {
				n++
			}
		}
		if err != nil || len(list) != n {
			t.Errorf("%s, %d streams are alice's, %v; want %d", when, len(list), err, n)
		}
		if err := f.Claim(ctx, "one-more", "n", alice, n); !errors.Is(err, siaran.ErrTooManyNames) {
			t.Errorf("%s, one stream more than an account may own: %v", when, err)
		}
	}
	check("before")

	// A new server writes what the older one can read.
	generation, err := f.RotateKeys(ctx, "s000")
	if err != nil {
		t.Fatal(err)
	}
	want["s000"] = rights{alice, generation}
	owner := bob
	if _, err := f.Edit(ctx, "s003", siaran.StreamEdit{Owner: &owner}); err != nil {
		t.Fatal(err)
	}
	want["s003"] = rights{bob, want["s003"].generation + 1}
	if err := f.Claim(ctx, "new", "n", bob, 0); err != nil {
		t.Fatal(err)
	}
	want["new"] = rights{bob, 0}
	for _, name := range []siaran.StreamName{"s000", "s003", "new"} {
		snap, err := f.get(ctx, f.stream(name))
		if m := fields(snap.Data()); err != nil || m.rights() != want[name] || m.rightsVersion() != "" {
			t.Errorf("an older server reads of %s: %v, %v", name, m, err)
		}
	}
	check("while an older server runs")

	lease(time.Unix(0, 0))
	testutil.Eventually(t, "all is moved", f.migrated.Load)
	check("afterwards")
	snaps, err := f.query(ctx, f.streams().Query)
	if err != nil {
		t.Fatal(err)
	}
	for _, snap := range snaps {
		m := fields(snap.Data())
		_, owner := m["owner"]
		_, generation := m["keyGeneration"]
		if hasRights := want[siaran.StreamName(snap.Ref.ID)] != (rights{}); owner || generation ||
			(m.rightsVersion() != "") != hasRights {
			t.Errorf("%s is left as %v", snap.Ref.ID, m)
		}
	}
	if kept, err := f.query(ctx, f.rights().Query); err != nil || len(kept) >= len(want) {
		t.Errorf("%d documents of rights for %d streams, %v", len(kept), len(want), err)
	}
}

// TestOlderServerComesBack: what an older server writes into the document of a stream that has been moved takes nothing
// from anybody, and is removed with the next change.
func TestOlderServerComesBack(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	f := open(t, Config{Project: emulator.Project()})
	testutil.Eventually(t, "nothing is left to move", f.migrated.Load)
	if err := f.Claim(ctx, "cats", "n", alice, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := f.stream("cats").Update(ctx, fields{"owner": bob, "keyGeneration": 0}.updates()); err != nil {
		t.Fatal(err)
	}
	if s, err := f.Stream(ctx, "cats"); err != nil || s.Owner != alice {
		t.Errorf("%+v, %v", s, err)
	}
	if generation, err := f.RotateKeys(ctx, "cats"); err != nil || generation != 1 {
		t.Errorf("generation %d, %v", generation, err)
	}
	snap, err := f.get(ctx, f.stream("cats"))
	if m := fields(snap.Data()); err != nil || m.rights() != (rights{}) {
		t.Errorf("%v, %v", m, err)
	}
}
