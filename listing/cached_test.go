package listing

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"siaran"
)

// billed is a listing that counts the documents that are read, each read taking a while. Nothing is live.
type billed struct {
	siaran.Listing
	took time.Duration

	mu      sync.Mutex
	streams map[siaran.StreamName]siaran.Stream
	reads   int
	err     error // of every call
}

func newBilled(names ...siaran.StreamName) *billed {
	b := &billed{took: 10 * time.Millisecond, streams: make(map[siaran.StreamName]siaran.Stream)}
	for _, name := range names {
		b.streams[name] = stream(name)
	}
	return b
}

func stream(name siaran.StreamName) siaran.Stream {
	return siaran.Stream{Name: name, Visibility: siaran.VisibilityPublic, Status: siaran.StatusOffline}
}

func (b *billed) RecallLive(siaran.StreamName) (siaran.Stream, bool) { return siaran.Stream{}, false }

func (b *billed) RecallAllLive() ([]siaran.Stream, bool) { return nil, true }

func (b *billed) Stream(_ context.Context, name siaran.StreamName) (siaran.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads++
	s, there := b.streams[name]
	err := b.err
	if !there && err == nil {
		s, err = siaran.Stream{Name: name, KeyGeneration: 3}, siaran.ErrUnknownStream
	}
	b.mu.Unlock()
	time.Sleep(b.took) // what was read is on its way
	b.mu.Lock()
	return s, err
}

func (b *billed) Streams(context.Context, siaran.StreamQuery) (list []siaran.Stream, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.streams {
		list = append(list, s)
	}
	b.reads += max(1, len(list))
	return list, b.err
}

func (b *billed) Edit(_ context.Context, name siaran.StreamName, e siaran.StreamEdit) (siaran.Stream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s, there := b.streams[name]
	if !there {
		s = stream(name)
	}
	s.Title = *e.Title
	b.streams[name] = s
	return s, b.err
}

func (b *billed) Claim(_ context.Context, name siaran.StreamName, _, owner string, _ int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := stream(name)
	s.Owner, s.KeyGeneration = owner, 3
	b.streams[name] = s
	return b.err
}

func (b *billed) Delete(_ context.Context, name siaran.StreamName) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.streams, name)
	return b.err
}

func (b *billed) count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads
}

func free() error { return nil }

// TestStrangersCannotMakeTheOwnerPay has attackers ask for whatever they like for ten minutes.
func TestStrangersCannotMakeTheOwnerPay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var names []siaran.StreamName
		for i := range 50 {
			names = append(names, siaran.StreamName(fmt.Sprint("s", i)))
		}
		b := newBilled(names...)
		c := NewCached(b)
		if _, err := c.Stream(t.Context(), "s0"); err != nil { // somebody broadcasts
			t.Fatal(err)
		}
		budget := rate.NewLimiter(20, 500)
		refused := errors.New("refused")
		pay := func() error {
			if !budget.Allow() {
				return refused
			}
			return nil
		}
		const period = 10 * time.Minute
		ctx, cancel := context.WithTimeout(t.Context(), period)
		defer cancel()
		var wg sync.WaitGroup
		var made, lists int
		attack := func(every time.Duration, f func(i int)) {
			wg.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					f(i)
					time.Sleep(every)
				}
			})
		}
		attack(10*time.Millisecond, func(i int) { // names made up
			switch _, err := c.Read(ctx, siaran.StreamName(fmt.Sprint("made-up-", i)), pay); {
			case errors.Is(err, siaran.ErrUnknownStream):
				made++
			case !errors.Is(err, refused) && ctx.Err() == nil:
				t.Errorf("%v", err)
			}
		})
		attack(10*time.Millisecond, func(int) { // everything there is
			_, _ = c.Read(ctx, names[rand.IntN(len(names))], pay)
		})
		attack(20*time.Millisecond, func(int) {
			if list, err := c.AllList(ctx); err == nil && len(list.Streams) == len(names) {
				lists++
			}
			_, _ = c.LiveList(ctx)
		})
		attack(2*time.Second, func(int) { // the broadcaster's session is looked at
			_, _, _ = c.Recent("s0")
		})
		wg.Wait()
		seconds := int(period / time.Second)
		// 20 a second by name, and one each 0.3 s for lists.
		if n := b.count(); n > 500+20*seconds+4*seconds {
			t.Errorf("%d documents were read in %v", n, period)
		}
		if made == 0 || lists < 15000 {
			t.Errorf("%d made-up names and %d lists were answered", made, lists)
		}
		if len(c.missing.byName) > maxRemember || len(c.found.byName) > maxRemember || len(c.flights) != 0 {
			t.Errorf("kept are %d, %d and %d", len(c.missing.byName), len(c.found.byName), len(c.flights))
		}
		if _, ok := c.LastSeen("s0"); !ok {
			t.Error("made-up names have pushed out a stream that is in use")
		}
	})
}

// TestCacheKeepsAnswers for as long as docs/firestore.md says, also that there is nothing.
func TestCacheKeepsAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBilled("cats")
		c := NewCached(b)
		for name, want := range map[siaran.StreamName]error{"cats": nil, "dogs": siaran.ErrUnknownStream} {
			for range 3 {
				before := b.count()
				for range 100 {
					s, err := c.Read(t.Context(), name, free)
					if !errors.Is(err, want) || s.Name != name || want != nil && s.KeyGeneration != 3 {
						t.Fatalf("%s: %+v, %v", name, s, err)
					}
				}
				if n := b.count() - before; n != 1 {
					t.Errorf("%s: %d reads", name, n)
				}
				time.Sleep(keepLookup)
			}
		}
	})
}

// TestOneFlight: whoever asks while the database is being asked for the same waits for that answer, and pays nothing.
func TestOneFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBilled("cats")
		b.took = 500 * time.Millisecond
		c := NewCached(b)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		paid := 0
		wg.Go(func() { // the one who asks for all goes
			_, _ = c.Read(ctx, "cats", func() error { paid++; return nil })
		})
		synctest.Wait()
		cancel()
		for range 100 {
			wg.Go(func() {
				if s, err := c.Read(t.Context(), "cats", func() error { paid++; return nil }); err != nil || s.Name != "cats" {
					t.Errorf("%+v, %v", s, err)
				}
			})
		}
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if _, err := c.Read(short, "cats", free); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("one who does not wait gets %v", err)
		}
		wg.Wait()
		if n := b.count(); n != 1 || paid != 1 {
			t.Errorf("%d reads, %d payments", n, paid)
		}
	})
}

// TestWhoCannotPay is refused, and takes nobody along.
func TestWhoCannotPay(t *testing.T) {
	b := newBilled("cats")
	c := NewCached(b)
	refused := errors.New("refused")
	if _, err := c.Read(t.Context(), "cats", func() error { return refused }); !errors.Is(err, refused) || b.count() != 0 {
		t.Errorf("%v, %d reads", err, b.count())
	}
	if _, err := c.Read(t.Context(), "cats", free); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(t.Context(), "cats", func() error { return refused }); err != nil {
		t.Errorf("what is known costs nothing: %v", err)
	}
}

// distant asks another server, which refuses requests that have come by way of others.
type distant struct {
	siaran.Listing
	heard bool
	asked chan struct{} // receives when a refusal is on its way; nil: none is awaited
	reply chan struct{}
}

func (d *distant) Unheard(siaran.StreamName) bool { return !d.heard }

func (d *distant) Stream(ctx context.Context, name siaran.StreamName) (siaran.Stream, error) {
	if len(siaran.WayOf(ctx)) == 0 {
		return stream(name), nil
	}
	d.asked <- struct{}{}
	<-d.reply
	return siaran.Stream{}, siaran.ErrTooFar
}

// TestNamesOfAnotherServer cost strangers something, unless there is such a stream.
func TestNamesOfAnotherServer(t *testing.T) {
	d := &distant{}
	c := NewCached(d)
	refused := errors.New("refused")
	if _, err := c.Read(t.Context(), "cats", func() error { return refused }); !errors.Is(err, refused) {
		t.Error(err)
	}
	d.heard = true
	if _, err := c.Read(t.Context(), "cats", func() error { return refused }); err != nil {
		t.Error(err)
	}
}

// TestForgedWaysAreAlone: what a request is refused for because of its way is not the answer to others.
func TestForgedWaysAreAlone(t *testing.T) {
	d := &distant{heard: true, asked: make(chan struct{}), reply: make(chan struct{})}
	c := NewCached(d)
	done := make(chan error)
	go func() {
		_, err := c.Read(siaran.WithWay(t.Context(), siaran.Way{"a", "b"}), "cats", free)
		done <- err
	}()
	<-d.asked
	if _, err := c.Read(t.Context(), "cats", free); err != nil {
		t.Errorf("a viewer gets the refusal of another request: %v", err)
	}
	close(d.reply)
	if err := <-done; !errors.Is(err, siaran.ErrTooFar) {
		t.Error(err)
	}
}

// TestOwnChangesAreSeenAtOnce, also while the stream as it was before is being read for somebody else.
func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBilled("cats")
		c := NewCached(b)
		for i := range 20 {
			var wg sync.WaitGroup
			for range 5 { // strangers all the time
				wg.Go(func() { _, _ = c.Read(t.Context(), "cats", free) })
			}
			time.Sleep(b.took * time.Duration(i%3) / 2)
			title := fmt.Sprint("Cats ", i)
			if _, err := c.Edit(t.Context(), "cats", siaran.StreamEdit{Title: &title}); err != nil {
				t.Fatal(err)
			}
			for range 3 {
				if s, err := c.Read(t.Context(), "cats", free); err != nil || s.Title != title {
					t.Errorf("after its own change it reads %q, %v, want %q", s.Title, err, title)
				}
			}
			wg.Wait()
			if s, err := c.Read(t.Context(), "cats", free); err != nil || s.Title != title {
				t.Errorf("later it reads %q, %v, want %q", s.Title, err, title)
			}
		}
	})
}

// TestListKeepsUpWithOwnChanges without reading all of it again.
func TestListKeepsUpWithOwnChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBilled("a", "b", "c")
		c := NewCached(b)
		names := func() (text string) {
			list, err := c.AllList(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range list.Streams {
				text += string(s.Name) + s.Title + " "
			}
			return text
		}
		if got := names(); got != "a b c " {
			t.Errorf("%q", got)
		}
		title := "1"
		for _, name := range []siaran.StreamName{"b", "d"} {
			if _, err := c.Edit(t.Context(), name, siaran.StreamEdit{Title: &title}); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Delete(t.Context(), "a"); err != nil {
			t.Fatal(err)
		}
		before := b.count()
		time.Sleep(rebuildList)
		if got := names(); got != "b1 c d1 " || b.count() != before+3 {
			t.Errorf("%q, %d reads", got, b.count()-before)
		}
		for i := range maxChanged + 10 { // too many to be looked up one by one
			name := siaran.StreamName(fmt.Sprint("e", i))
			if _, err := c.Edit(t.Context(), name, siaran.StreamEdit{Title: &title}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(rebuildList)
		list, err := c.AllList(t.Context())
		if err != nil || len(list.Streams) != maxChanged+13 || b.count() != before+3+len(list.Streams) {
			t.Errorf("%d streams, %v, %d reads", len(list.Streams), err, b.count()-before)
		}
		if len(c.lists.dirty) != 0 {
			t.Errorf("%d changes are kept", len(c.lists.dirty))
		}
	})
}

// TestLastSeen is what is known while the listing does not answer.
func TestLastSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBilled("cats")
		c := NewCached(b)
		if _, err := c.Stream(t.Context(), "cats"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Stream(t.Context(), "new"); !errors.Is(err, siaran.ErrUnknownStream) {
			t.Fatal(err)
		}
		if err := c.Claim(t.Context(), "new", "here", "firebase:ana", 0); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		b.err = errors.New("away")
		if _, err := c.Stream(t.Context(), "cats"); err == nil {
			t.Error("the listing answers")
		}
		if s, ok := c.LastSeen("cats"); !ok || s.Visibility != siaran.VisibilityPublic || s.KeyGeneration != 0 {
			t.Errorf("%+v, %v", s, ok)
		}
		if s, ok := c.LastSeen("new"); !ok || s.Owner != "firebase:ana" || s.KeyGeneration != 3 {
			t.Errorf("a stream that was claimed is %+v, %v", s, ok)
		}
		if _, ok := c.LastSeen("dogs"); ok {
			t.Error("a stream that was never heard of is known")
		}
		b.err = nil
		if err := c.Delete(t.Context(), "cats"); err != nil {
			t.Fatal(err)
		}
		delete(b.streams, "new") // by another server
		if _, err := c.Stream(t.Context(), "new"); !errors.Is(err, siaran.ErrUnknownStream) {
			t.Fatal(err)
		}
		for _, name := range []siaran.StreamName{"cats", "new"} {
			if _, ok := c.LastSeen(name); ok {
				t.Errorf("the rules of %s are still believed, which was deleted", name)
			}
		}
	})
}
