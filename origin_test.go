package siaran

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// relay publishes the test tracks as those of a broadcast of another server, and writes the beginning of it.
func relay(t *testing.T, h *Hub, origin Origin) *Publication {
	t.Helper()
	origin.Pulled = true
	p, err := h.PublishFrom("cats", "relay", testTracks, origin)
	if err != nil {
		t.Fatal(err)
	}
	write(t, p.Writer(KindAudio, ""), 1, 0, []byte{1}, time.Now())
	write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
	return p
}

func TestRelayedBroadcastIsThatOfItsOrigin(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	defer h.Close()
	f := h.Feed()
	p := relay(t, h, Origin{ID: "far", StartedAt: testTime})
	s := take(t, f, 1)[0].State
	if s.ID != "far" || !s.StartedAt.Equal(testTime) || !s.Pulled || s.Status != StatusLive || s.Owner != "relay" {
		t.Errorf("%+v", s)
	}
	b := p.Broadcast()
	if _, err := h.Publish("cats", "owner", testTracks); !errors.Is(err, ErrStreamTaken) {
		t.Errorf("a broadcaster took it over: %v", err)
	}
	again := relay(t, h, Origin{ID: "far", StartedAt: testTime}) // from another parent
	wantEnded(t, p, ErrTakenOver)
	if again.Broadcast() != b || b.ID() != "far" || isDone(b.Done()) {
		t.Error("another parent makes another broadcast")
	}
	if s := b.State(); !s.StartedAt.Equal(testTime) || s.Status != StatusLive {
		t.Errorf("%+v", s)
	}
}

func TestOriginMayBeUnknown(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	defer h.Close()
	b := relay(t, h, Origin{}).Broadcast()
	id := b.ID()
	if s := b.State(); id == "" || !s.Pulled || s.StartedAt.IsZero() {
		t.Errorf("%+v", s)
	}
	if relay(t, h, Origin{}).Broadcast() != b || b.ID() != id {
		t.Error("it is another broadcast after the parent has changed")
	}
}

// TestOriginDoesNotTakeAnId that another stream's broadcast has: who follows broadcasts by their ids would take the two
// for one.
func TestOriginDoesNotTakeAnId(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	defer h.Close()
	own, err := h.Publish("dogs", "owner", testTracks)
	if err != nil {
		t.Fatal(err)
	}
	id := own.Broadcast().ID()
	b := relay(t, h, Origin{ID: id}).Broadcast()
	if b.ID() == id || b.ID() == "" {
		t.Errorf("the broadcast of another stream is %q too", id)
	}
	drawn := b.ID()
	if relay(t, h, Origin{ID: id}).Broadcast() != b || b.ID() != drawn {
		t.Error("it is another broadcast when its parent says so again")
	}
}

// TestViewersFollowToTheNextBroadcast has an origin that begins another broadcast, and a broadcaster who comes to this
// server when the origin is gone.
func TestViewersFollowToTheNextBroadcast(t *testing.T) {
	next := map[string]func(t *testing.T, h *Hub) *Publication{
		"of the origin": func(t *testing.T, h *Hub) *Publication { return relay(t, h, Origin{ID: "next"}) },
		"of a broadcaster": func(t *testing.T, h *Hub) *Publication {
			p := publish(t, h, "owner", testTracks...)
			write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
			return p
		},
	}
	for name, begin := range next {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := NewHub(testGrace, newSampleFramer)
				defer h.Close()
				f := h.Feed()
				p := relay(t, h, Origin{ID: "first"})
				b := p.Broadcast()
				noError(t, b.Join(Viewer{ID: "v"}))
				take(t, f, 1)
				p.Abandon()
				time.Sleep(testGrace - 1)
				take(t, f, 1)
				if begin(t, h).Broadcast() != b || isDone(b.Done()) {
					t.Fatal("the viewers do not follow")
				}
				changes := take(t, f, 2)
				if c := changes[0]; c.State.ID != "first" || c.State.Status != StatusOffline ||
					c.State.EndReason != EndReplaced || !slices.Equal(c.Left, []ViewerID{"v"}) {
					t.Errorf("the end is told as %+v", c)
				}
				if c := changes[1]; c.State.ID == "first" || c.State.Status != StatusLive || c.State.Viewers != 1 ||
					c.State.Pulled != (name == "of the origin") || !slices.Equal(ids(c.Joined), []ViewerID{"v"}) {
					t.Errorf("the next is told as %+v", c)
				}
				time.Sleep(2 * testGrace)
				synctest.Wait()
				if isDone(b.Done()) {
					t.Error("the grace time of the first ended the next")
				}
			})
		})
	}
}
