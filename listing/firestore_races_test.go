package listing

import (
	"context"
	"fmt"
	"testing"
	"time"

	"siaran"
	"siaran/listing/emulator"
)

// pair is a stream's own server and one more that serves the same broadcast.
type pair struct {
	t           *testing.T
	origin, far *Firestore
}

func newPair(t *testing.T) *pair {
	t.Helper()
	cfg := FirestoreConfig{Project: emulator.Project()}
	p := &pair{t, openFirestore(t, cfg), openFirestore(t, cfg)}
	for name, f := range map[string]*Firestore{"origin": p.origin, "edge": p.far} {
		if err := f.Renew(t.Context(), siaran.Node{Name: name, LeaseUntil: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func (p *pair) apply(ctx context.Context, f *Firestore, status siaran.Status, viewers int, joined ...siaran.Viewer) error {
	node := map[*Firestore]string{p.origin: "origin", p.far: "edge"}[f]
	s := state("cats", status)
	s.StartedAt, s.Viewers = time.Now(), viewers
	if status == siaran.StatusOffline {
		s.EndReason = siaran.EndStopped
	}
	return f.Apply(ctx, siaran.Update{Node: node, At: time.Now(), Changes: []siaran.Change{{State: s, Joined: joined}}})
}

func (p *pair) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
}

// TestFirestoreEdgeEnds has an edge let go of a broadcast that goes on.
func TestFirestoreEdgeEnds(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	ctx := t.Context()
	all, _ := viewers(0, 5)
	p.must(p.apply(ctx, p.origin, siaran.StatusLive, 2, all[:2]...))
	p.must(p.apply(ctx, p.far, siaran.StatusLive, 3, all[2:]...))
	eventually(t, "five watch", func() bool {
		d := readDocuments(t, p.origin.client)
		return d.streams["cats"].number("viewers") == 5 && len(d.viewers["cats"]) == 5
	})
	p.must(p.apply(ctx, p.far, siaran.StatusOffline, 0))
	d := readDocuments(t, p.origin.client)
	if len(d.counts) != 0 || len(d.viewers["cats"]) != 2 || d.streams["cats"].text("status") != "live" {
		t.Errorf("left are %+v", d)
	}
	if b := d.broadcasts["cats"]; b.text("node") != "origin" || b.text("status") != "live" || b["endedAt"] != nil {
		t.Errorf("the broadcast is %v, want it to go on", b)
	}
	eventually(t, "two watch", func() bool { return readDocuments(t, p.origin.client).streams["cats"].number("viewers") == 2 })
	p.must(p.apply(ctx, p.origin, siaran.StatusOffline, 0))
	if b := readDocuments(t, p.origin.client).broadcasts["cats"]; b.text("status") != "offline" || b.text("reason") != "stopped" {
		t.Errorf("the broadcast is %v, want it ended", b)
	}
}

// TestFirestoreEdgeRepeats has an edge's number not arrive the first time.
func TestFirestoreEdgeRepeats(t *testing.T) {
	p := newPair(t)
	p.must(p.apply(t.Context(), p.origin, siaran.StatusLive, 0))
	p.must(p.apply(t.Context(), p.far, siaran.StatusLive, 3))
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := p.apply(canceled, p.far, siaran.StatusLive, 4); err == nil {
		t.Error("written though it was given up")
	}
	p.must(p.apply(t.Context(), p.far, siaran.StatusLive, 4))
	if n := readDocuments(t, p.far.client).counts["cats/edge"].number("viewers"); n != 4 {
		t.Errorf("the edge counts %d, want 4", n)
	}
}

// TestFirestoreSumsWriteNumbersAlone has viewers of another server added up at the moment in which the reporter writes something else.
func TestFirestoreSumsWriteNumbersAlone(t *testing.T) {
	p := newPair(t)
	f := p.origin
	p.must(p.apply(t.Context(), f, siaran.StatusLive, 3))
	before, ok := f.posted("cats", "origin")
	if !ok {
		t.Fatal("nothing is known to have been written")
	}
	p.must(p.apply(t.Context(), f, siaran.StatusInterrupted, 4))
	f.post(before) // as it was read before
	p.must(f.sums.write("cats"))
	if m := readDocuments(t, f.client).streams["cats"]; m.text("status") != "interrupted" || m.number("viewers") != 4 {
		t.Errorf("the stream is %v, want it interrupted, with 4 viewers", m)
	}
}

// TestFirestoreKeepMany has more that lives than goes into one transaction stand before what is left over.
func TestFirestoreKeepMany(t *testing.T) {
	t.Parallel()
	f := openFirestore(t, FirestoreConfig{Project: emulator.Project()})
	live := make(map[siaran.BroadcastID]bool)
	var changes []siaran.Change
	for i := range sweepBatch + 5 {
		s := state(fmt.Sprintf("s%03d", i), siaran.StatusLive)
		live[s.ID] = true
		changes = append(changes, siaran.Change{State: s})
	}
	dead := state("z", siaran.StatusLive)
	for _, part := range [][]siaran.Change{changes[:maxUrgent], changes[maxUrgent : 2*maxUrgent], changes[2*maxUrgent:], {{State: dead}}} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		err := f.Apply(ctx, siaran.Update{Node: "n", At: time.Now(), Changes: part})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if swept, err := f.keep(ctx, "n", live); err != nil || swept != 1 {
		t.Errorf("swept %d, %v", swept, err)
	}
	d := readDocuments(t, f.client)
	if d.streams["z"].text("status") != "offline" || d.broadcasts["z"].text("reason") != "crashed" {
		t.Errorf("left are %v and %v", d.streams["z"], d.broadcasts["z"])
	}
	for id := range live {
		if d.streams[string(id)].text("status") != "live" || d.broadcasts[string(id)].text("reason") != "" {
			t.Fatalf("%s lives, and is %v and %v", id, d.streams[string(id)], d.broadcasts[string(id)])
		}
	}
}

// TestFirestoreGivenUp has people go before they are answered, which says nothing about the database.
func TestFirestoreGivenUp(t *testing.T) {
	t.Parallel()
	e := emulator.New(t)
	f := openFirestore(t, FirestoreConfig{Emulator: e.Host, Project: emulator.Project()})
	eventually(t, "it is ready", func() bool { return f.Ready(t.Context()) == nil })
	e.Pause()
	defer e.Resume()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := f.Stream(ctx, "nobody"); err == nil {
		t.Fatal("answered")
	}
	f.health.mu.Lock()
	defer f.health.mu.Unlock()
	if f.health.failed != nil {
		t.Errorf("the database is taken to have failed: %v", f.health.failed)
	}
}

// TestFirestoreNoTime has a caller leave the database no time to answer, which says nothing about it either.
func TestFirestoreNoTime(t *testing.T) {
	e := emulator.New(t)
	f := openFirestore(t, FirestoreConfig{Emulator: e.Host, Project: emulator.Project()})
	e.Pause()
	defer e.Resume()
	for _, limit := range []time.Duration{-time.Second, 50 * time.Millisecond} {
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		_, err := f.Stream(ctx, "nobody")
		cancel()
		if err == nil {
			t.Fatal("answered")
		}
	}
	f.health.mu.Lock()
	defer f.health.mu.Unlock()
	if f.health.failed != nil {
		t.Errorf("the database is taken to have failed: %v", f.health.failed)
	}
}
