package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"siaran"
)

// TestMadeUpNames: however many names strangers make up, the parent is asked little, and memory is bounded.
func TestMadeUpNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		d := w.cluster.cfg.Above.(*Directory)
		refused := 0
		for n := range 20_000 {
			if _, err := d.Stream(t.Context(), siaran.StreamName(fmt.Sprint("n", n))); errors.Is(err, siaran.ErrParent) {
				refused++
			}
		}
		if looks, _ := w.asked(); looks > askedBursts || refused != 20_000-looks {
			t.Errorf("the parent is asked %d times, %d were refused", looks, refused)
		}
		d.change(siaran.StreamEvent{Stream: liveStream("far")})
		if _, err := d.Stream(t.Context(), cats); err != nil {
			t.Errorf("what is live pays for it: %v", err)
		}
		for n := range maxAnswers + 200 {
			d.keep(siaran.StreamName(fmt.Sprint("m", n)), answer{until: time.Now().Add(time.Hour)})
		}
		if len(d.answers) > maxAnswers {
			t.Errorf("%d answers are kept", len(d.answers))
		}
		time.Sleep(2 * time.Second)
		if _, err := d.Stream(t.Context(), "other"); !errors.Is(err, siaran.ErrUnknownStream) {
			t.Errorf("later: %v", err)
		}
	})
}

// TestRulesOutlastMadeUpNames: what the parent has said of a stream is known while it is away, however many names
// strangers make up.
func TestRulesOutlastMadeUpNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		d := w.cluster.cfg.Above.(*Directory)
		if _, err := d.Stream(t.Context(), cats); err != nil {
			t.Fatal(err)
		}
		w.set(func() { w.lookErr = errors.New("away") })
		for n := range 2 * maxAnswers {
			_, _ = d.Stream(t.Context(), siaran.StreamName(fmt.Sprint("n", n)))
			time.Sleep(time.Second / askedNames)
		}
		if len(d.answers) > maxAnswers {
			t.Errorf("%d answers are kept", len(d.answers))
		}
		if _, known := d.Last(cats); !known {
			t.Error("the rules of a stream of the parent's are forgotten")
		}
	})
}

// TestAnswersAreGoodForASecond, or until the parent says that something has changed.
func TestAnswersAreGoodForASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		d := w.cluster.cfg.Above.(*Directory)
		ask := func(want int) {
			t.Helper()
			for range 10 {
				if _, err := d.Stream(t.Context(), cats); err != nil {
					t.Fatal(err)
				}
			}
			if looks, _ := w.asked(); looks != want {
				t.Errorf("asked %d times, want %d", looks, want)
			}
		}
		ask(1)
		d.change(siaran.StreamEvent{Stream: liveStream("far")})
		ask(2)
		d.change(siaran.StreamEvent{Stream: liveStream("far")}) // only numbers
		ask(2)
		time.Sleep(keepAnswer)
		ask(3)
	})
}

// TestForgedWaysConcernNobodyElse: anybody can send a request that claims to have passed many servers.
func TestForgedWaysConcernNobodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		forged := siaran.WithWay(t.Context(), siaran.Way{"a", "b"})
		circle := siaran.WithWay(t.Context(), siaran.Way{"far"})
		for range 3 {
			if err := w.cluster.Ensure(forged, cats); !errors.Is(err, siaran.ErrTooFar) {
				t.Errorf("a long way: %v", err)
			}
			if err := w.cluster.Ensure(circle, cats); !errors.Is(err, siaran.ErrLoop) {
				t.Errorf("a circle: %v", err)
			}
		}
		if n := w.log.lines("cannot get streams"); n != 0 {
			t.Errorf("%d lines about it", n)
		}
		ensure(t, w)
	})
}

// TestParentIsLost: its streams stay listed for a moment, then as interrupted, and then no more.
func TestParentIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		ctx, stop := context.WithCancel(t.Context())
		parent := &flaky{world: w, cut: make(chan struct{})}
		d := NewDirectory(parent, "edge", w.cluster.cfg.Logger)
		changed, done := d.follow()
		defer done()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			d.Run(ctx)
		}()
		want := func(status siaran.Status) {
			t.Helper()
			synctest.Wait()
			list := d.Live()
			if status == "" && len(list) != 0 || status != "" && (len(list) != 1 || list[0].Status != status) {
				t.Errorf("%+v, want %q", list, status)
			}
		}
		want(siaran.StatusLive)
		close(parent.cut)
		time.Sleep(time.Second)
		want(siaran.StatusLive)
		<-changed
		time.Sleep(8 * time.Second)
		<-changed // who follows is told
		want(siaran.StatusInterrupted)
		time.Sleep(30 * time.Second)
		<-changed
		want("")
		if n := w.log.lines("cannot get streams"); n != 1 {
			t.Errorf("%d lines about it", n)
		}
		stop()
		<-ended
	})
}

// flaky is a parent whose list can be cut off for good.
type flaky struct {
	*world
	cut chan struct{}
}

func (f *flaky) Watch(ctx context.Context, snapshot func([]siaran.Stream), _ func(siaran.StreamEvent)) error {
	select {
	case <-f.cut:
	default:
		snapshot([]siaran.Stream{liveStream("far")})
	}
	select {
	case <-f.cut:
	case <-ctx.Done():
	}
	return errors.New("cut off")
}
