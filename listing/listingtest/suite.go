// Package listingtest has the tests that every implementation of siaran.Listing must pass. They know nothing about any
// database: reads must see what has been written, on all handles; a watch may lag, and the tests wait for it. Names are
// random, so that runs do not disturb each other. The package also has helpers for tests of reporters and listings.
package listingtest

import (
	"crypto/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
)

// Patience is how long a watch may lag.
const Patience = 10 * time.Second

// Open opens one more handle on a database, as another server would. The handle measures leases by now, and is closed
// when t ends, if not before.
type Open func(t *testing.T, now func() time.Time) siaran.Listing

// Run tests an implementation. newDatabase makes an empty database that nobody else uses. margin is how long a lease
// still counts for readers after it has run out.
func Run(t *testing.T, margin time.Duration, newDatabase func(t *testing.T) Open) {
	for _, group := range []struct {
		name  string
		tests map[string]func(*testing.T, *bench)
	}{
		{"stream", streamTests},
		{"delete", deleteTests},
		{"apply", applyTests},
		{"lease", leaseTests},
		{"watch", watchTests},
	} {
		for name, test := range group.tests {
			t.Run(group.name+"/"+name, func(t *testing.T) {
				t.Parallel() // they mostly wait
				clock := &Clock{now: time.Now().Truncate(time.Millisecond)}
				open := newDatabase(t)
				test(t, &bench{open: open, margin: margin, clock: clock, l: open(t, clock.Now), other: open(t, clock.Now)})
			})
		}
	}
}

// Clock is a clock that moves only when it is told to.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock forward.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

const lease = 15 * time.Second

// bench is a database with two handles.
type bench struct {
	open     Open
	clock    *Clock
	l, other siaran.Listing
	margin   time.Duration
}

// outlive advances the clock until every lease has run out.
func (b *bench) outlive() { b.clock.Advance(lease + b.margin) }

// node makes a node whose lease is valid for the usual time.
func (b *bench) node(t *testing.T) string {
	t.Helper()
	name := "node-" + random()
	b.renew(t, name)
	return name
}

func (b *bench) renew(t *testing.T, node string) {
	t.Helper()
	n := siaran.Node{Name: node, URL: "http://" + node + ".example", LeaseUntil: b.clock.Now().Add(lease), Viewers: 3}
	if err := b.l.Renew(t.Context(), n); err != nil {
		t.Fatal("Renew:", err)
	}
}

func (b *bench) apply(t *testing.T, node string, changes ...siaran.Change) {
	t.Helper()
	if err := b.l.Apply(t.Context(), siaran.Update{Node: node, At: b.clock.Now(), Changes: changes}); err != nil {
		t.Fatal("Apply:", err)
	}
}

// broadcast returns one that has just begun, of a new stream.
func (b *bench) broadcast() siaran.BroadcastState {
	return b.broadcastOf(streamName())
}

func (b *bench) broadcastOf(name siaran.StreamName) siaran.BroadcastState {
	return siaran.BroadcastState{
		ID: siaran.BroadcastID("b-" + random()), Stream: name, Owner: "key:" + random(),
		Status: siaran.StatusLive, StartedAt: b.clock.Now(),
		Video:  &siaran.VideoState{Codec: siaran.H264, Width: 1920, Height: 1080},
		Audio:  &siaran.AudioState{Codec: siaran.Opus},
		Layers: []siaran.LayerState{{RID: "h", Width: 1920, Height: 1080}, {RID: "l", Width: 640, Height: 360}},
	}
}

func live(s siaran.BroadcastState, joined ...siaran.Viewer) siaran.Change {
	s.Viewers += len(joined)
	s.TotalViewers += len(joined)
	s.PeakViewers = max(s.PeakViewers, s.Viewers)
	return siaran.Change{State: s, Joined: joined}
}

func (b *bench) ended(s siaran.BroadcastState, reason siaran.EndReason) siaran.Change {
	s.Status, s.EndReason, s.EndedAt = siaran.StatusOffline, reason, b.clock.Now()
	return siaran.Change{State: s}
}

// viewers returns n viewers who came one after the other.
func (b *bench) viewers(n int) []siaran.Viewer {
	list := make([]siaran.Viewer, n)
	for i := range list {
		list[i] = siaran.Viewer{
			ID:       siaran.ViewerID("v-" + random()),
			JoinedAt: b.clock.Now().Add(time.Duration(i) * time.Millisecond),
			Path:     "direct",
		}
	}
	return list
}

func (b *bench) stream(t *testing.T, name siaran.StreamName) siaran.Stream {
	t.Helper()
	s, err := b.other.Stream(t.Context(), name)
	if err != nil {
		t.Fatalf("Stream(%q): %v", name, err)
	}
	return s
}

func (b *bench) wantStatus(t *testing.T, name siaran.StreamName, want siaran.Status) {
	t.Helper()
	if s := b.stream(t, name); s.Status != want {
		t.Errorf("stream is %q, want %q: %+v", s.Status, want, s)
	}
}

func (b *bench) wantViewers(t *testing.T, name siaran.StreamName, want []siaran.Viewer) {
	t.Helper()
	got, err := b.other.Viewers(t.Context(), name)
	if err != nil {
		t.Fatal("Viewers:", err)
	}
	if len(got) != len(want) {
		t.Fatalf("got %d viewers, want %d", len(got), len(want))
	}
	for i, v := range got {
		if v.Stream != name || v.ID != want[i].ID || v.Path != want[i].Path || !sameTime(v.JoinedAt, want[i].JoinedAt) {
			t.Fatalf("viewer %d is %+v, want %+v", i, v, want[i])
		}
	}
}

// history returns the history of a stream, newest first.
func (b *bench) history(t *testing.T, name siaran.StreamName) []siaran.BroadcastRecord {
	t.Helper()
	list, err := b.other.Broadcasts(t.Context(), name, 100)
	if err != nil {
		t.Fatal("Broadcasts:", err)
	}
	return list
}

func sameTime(a, b time.Time) bool {
	if a.IsZero() || b.IsZero() {
		return a.IsZero() == b.IsZero()
	}
	return a.Sub(b).Abs() < time.Millisecond
}

func random() string { return strings.ToLower(rand.Text()[:12]) }

func streamName() siaran.StreamName { return siaran.StreamName("s" + random()) }
