package siaran

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// stopped is what a server before this one had.
func stopped() BroadcastState {
	return BroadcastState{
		Stream: "cats", ID: "before", Owner: "key:1", StartedAt: time.Now().Add(-time.Hour), PeakViewers: 7, TotalViewers: 9,
		Video: &VideoState{Codec: VP8, Width: 1280, Height: 720},
	}
}

func TestExpectedBroadcastGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(30*time.Second, newSampleFramer)
		was := stopped()
		h.Expect([]BroadcastState{was, {Stream: "nobody", ID: "x", StartedAt: was.StartedAt}})
		feed := h.Feed()
		defer feed.Close()
		list := feed.Take()
		if len(list) != 1 || list[0].State.Status != StatusInterrupted || list[0].State.Video.Width != 1280 {
			t.Fatalf("the feed has %+v", list)
		}
		if _, err := h.Broadcast("cats"); !errors.Is(err, ErrReturning) {
			t.Error(err)
		}
		if _, err := h.Publish("cats", "key:2", testTracks); !errors.Is(err, ErrStreamTaken) {
			t.Error(err)
		}
		time.Sleep(29 * time.Second)
		p, err := h.Publish("cats", "key:1", testTracks)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(29 * time.Second) // the grace time has begun again
		write(t, p.Writer(KindVideo, ""), 1, 3000, vp8Key, time.Now())
		b, err := h.Broadcast("cats")
		if err != nil {
			t.Fatal(err)
		}
		s := b.State()
		if s.ID != was.ID || !s.StartedAt.Equal(was.StartedAt) || s.Status != StatusLive || s.TotalViewers != 9 ||
			s.PeakViewers != 7 {
			t.Errorf("it goes on as %+v", s)
		}
		h.Close()
	})
}

func TestNobodyComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(30*time.Second, newSampleFramer)
		h.Expect([]BroadcastState{stopped()})
		h.Expect([]BroadcastState{{Stream: "cats", ID: "other", Owner: "key:2", StartedAt: time.Now()}})
		feed := h.Feed()
		defer feed.Close()
		time.Sleep(31 * time.Second)
		list := feed.Take()
		if len(list) != 1 || list[0].State.EndReason != EndVanished || list[0].State.ID != "before" {
			t.Errorf("the feed has %+v", list)
		}
		if _, err := h.Broadcast("cats"); !errors.Is(err, ErrNotLive) {
			t.Error(err)
		}
	})
}

// TestExpectedBroadcastIsEnded: through the API, while nobody feeds it.
func TestExpectedBroadcastIsEnded(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	h.Expect([]BroadcastState{stopped()})
	if err := h.End("cats", EndByOwner); err != nil {
		t.Fatal(err)
	}
	p, err := h.Publish("cats", "key:1", testTracks)
	if err != nil || p.Broadcast().ID() == "before" {
		t.Errorf("%v, %+v", err, p)
	}
}
