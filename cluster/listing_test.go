package cluster

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/listing/sqlite"
)

// edgeListing is the listing of an edge on a real database.
func edgeListing(t *testing.T, w *world) *Listing {
	t.Helper()
	own, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "siaran.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { own.Close() })
	return NewListing(own, w.hub, w.cluster.cfg.Above.(*Directory))
}

// expire makes the directory ask again.
func (d *Directory) expire() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name, a := range d.answers {
		a.until = time.Time{}
		d.answers[name] = a
	}
}

func TestListingOfAnEdge(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	l := edgeListing(t, w)
	ctx, title := t.Context(), "Mine"
	private := liveStream("far")
	private.Visibility, private.KeyGeneration, private.Owner = siaran.VisibilityPrivate, 3, "firebase:x"
	w.streams[cats] = private
	if s, err := l.Stream(ctx, cats); err != nil || !s.Equal(private) {
		t.Errorf("what the parent has: %+v, %v", s, err)
	}
	if _, err := l.Stream(ctx, "dogs"); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Errorf("what nobody has: %v", err)
	}
	_, edited := l.Edit(ctx, cats, siaran.StreamEdit{Title: &title})
	_, rotated := l.RotateKeys(ctx, cats)
	for _, err := range []error{edited, rotated, l.Claim(ctx, cats, "edge", "", 0)} {
		if !errors.Is(err, siaran.ErrAbove) {
			t.Errorf("what is the parent's is changed: %v", err)
		}
	}
	if err := l.Claim(ctx, "dogs", "edge", "", 0); err != nil {
		t.Error(err)
	}
	w.set(func() { w.streams["dogs"] = private })
	w.cluster.cfg.Above.(*Directory).expire()
	if s, err := l.Stream(ctx, "dogs"); err != nil || s.KeyGeneration != 0 {
		t.Errorf("what is here has become the parent's: %+v, %v", s, err)
	}
	w.set(func() { w.lookErr = ErrHidden })
	if err := l.Claim(ctx, "secret", "edge", "", 0); !errors.Is(err, siaran.ErrAbove) {
		t.Errorf("a private stream that the parent does not let us have becomes ours, and public: %v", err)
	}
	if _, err := l.Stream(ctx, "secret"); !errors.Is(err, siaran.ErrUnknownStream) {
		t.Errorf("a private stream that the parent does not let us have: %v", err)
	}
	down := errors.New("down")
	w.set(func() { w.lookErr, w.openErr = down, down })
	w.cluster.cfg.Above.(*Directory).expire()
	if _, err := l.Stream(ctx, cats); !errors.Is(err, siaran.ErrParent) {
		t.Errorf("while the parent is away: %v", err)
	}
	if _, err := l.Stream(ctx, "dogs"); err != nil {
		t.Errorf("what is here while the parent is away: %v", err)
	}
	if err := l.Claim(ctx, "birds", "edge", "", 0); !errors.Is(err, siaran.ErrParent) {
		t.Errorf("a new name while the parent is away: %v", err)
	}
}

// TestInterruptedWithoutTheParent: a stream that is pulled is as it was last said to be, but interrupted.
func TestInterruptedWithoutTheParent(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	l := edgeListing(t, w)
	s := liveStream("far")
	s.Title, s.KeyGeneration = "Cats", 5
	w.streams[cats] = s
	ensure(t, w)
	down := errors.New("down")
	w.set(func() { w.lookErr, w.openErr = down, down })
	w.newest().end(errors.New("stalled"))
	w.cluster.cfg.Above.(*Directory).expire()
	got, err := l.Stream(t.Context(), cats)
	if err != nil || got.Status != siaran.StatusInterrupted || got.Title != "Cats" || got.KeyGeneration != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestPulledStreamsStayPrivate: whatever the parent says or does not say, what is here and was private stays so.
func TestPulledStreamsStayPrivate(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	l := edgeListing(t, w)
	private := liveStream("far")
	private.Visibility, private.KeyGeneration = siaran.VisibilityPrivate, 3
	w.streams[cats] = private
	ensure(t, w)
	offline := private
	offline.Status = siaran.StatusOffline
	for name, change := range map[string]func(){
		"live":    func() {},
		"offline": func() { w.streams[cats] = offline },
		"refused": func() { w.lookErr = siaran.ErrUnknownStream },
		"circle":  func() { w.lookErr = siaran.ErrLoop },
		"away":    func() { w.lookErr = errors.New("down") },
	} {
		w.set(change)
		w.cluster.cfg.Above.(*Directory).expire()
		s, err := l.Stream(t.Context(), cats)
		if err != nil || s.Visibility != siaran.VisibilityPrivate || s.KeyGeneration != 3 || s.Status != siaran.StatusLive {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		w.set(func() { w.lookErr, w.streams[cats] = nil, private })
	}
	w.set(func() { w.lookErr = siaran.ErrUnknownStream })
	w.cluster.cfg.Above.(*Directory).mu.Lock()
	clear(w.cluster.cfg.Above.(*Directory).answers)
	w.cluster.cfg.Above.(*Directory).mu.Unlock()
	if s, err := l.Stream(t.Context(), cats); !errors.Is(err, siaran.ErrParent) {
		t.Errorf("of a stream that nothing is known about: %+v, %v", s, err)
	}
}

// watched is what a listing has told.
type watched struct {
	mu   sync.Mutex
	text []string
}

func (w *watched) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, text)
}

func (w *watched) has(want ...string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Equal(w.text, want)
}

func TestWatchAnEdge(t *testing.T) {
	w := newWorld(t)
	defer w.close()
	l, d := edgeListing(t, w), w.cluster.cfg.Above.(*Directory)
	named := func(name siaran.StreamName, node string) siaran.Stream {
		s := liveStream(node)
		s.Name = name
		return s
	}
	d.reset([]siaran.Stream{named("cats", "far"), named("echo", "edge")})
	ctx, stop := context.WithCancel(t.Context())
	var got watched
	ended := make(chan error, 1)
	go func() {
		ended <- l.Watch(ctx, func(list []siaran.Stream) {
			var names []string
			for _, s := range list {
				names = append(names, string(s.Name))
			}
			slices.Sort(names)
			got.say("all " + strings.Join(names, " "))
		}, func(e siaran.StreamEvent) { got.say(fmt.Sprint(e.Stream.Name, " ", e.Gone)) })
	}()
	eventually(t, func() bool { return got.has("all cats") })
	d.change(siaran.StreamEvent{Stream: named("dogs", "far")})
	eventually(t, func() bool { return got.has("all cats", "dogs false") })
	d.change(siaran.StreamEvent{Gone: true, Stream: named("cats", "far")})
	eventually(t, func() bool { return got.has("all cats", "dogs false", "cats true") })
	list, err := l.Streams(t.Context(), siaran.StreamQuery{})
	if err != nil || len(list) != 1 || list[0].Name != "dogs" {
		t.Errorf("%+v, %v", list, err)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testutil.Patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it does not happen")
		}
	}
}
