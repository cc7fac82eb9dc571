package siaran

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestBroadcastMovesHere has a broadcaster come to a server that passes the broadcast on. It goes on under its id; the
// listing hears of it, and of the viewers who were there before, with the first media and not before.
func TestBroadcastMovesHere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(testGrace, newSampleFramer)
		defer h.Close()
		f := h.Feed()
		p := relay(t, h, Origin{ID: "far", StartedAt: testTime})
		b := p.Broadcast()
		noError(t, b.Join(Viewer{ID: "v"}))
		p.Abandon()
		take(t, f, 1)
		moved := Origin{ID: "far", StartedAt: testTime, Moves: 3}
		first, err := h.PublishFrom("cats", "owner", testTracks, moved)
		noError(t, err)
		if s := b.State(); !s.Pulled || s.Status != StatusInterrupted {
			t.Errorf("before its media: %+v", s)
		}
		first.Abandon() // it has not connected: the pull may come back, and the broadcaster after it
		relay(t, h, Origin{ID: "far", StartedAt: testTime}).Abandon()
		_, err = h.PublishFrom("cats", "owner", testTracks, moved)
		noError(t, err)
		again := publish(t, h, "owner", testTracks...) // the same once more
		take(t, f, 1)
		write(t, again.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
		c := take(t, f, 1)[0]
		if s := c.State; s.ID != "far" || s.Pulled || s.Moves != 3 || s.Owner != "owner" || s.Status != StatusLive ||
			!s.StartedAt.Equal(testTime) || len(c.Joined) != 1 {
			t.Errorf("%+v", c)
		}
		if isDone(b.Done()) {
			t.Error("its viewers have lost it")
		}
	})
}

func TestBroadcastMovesAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(testGrace, newSampleFramer)
		defer h.Close()
		p := publish(t, h, "owner", testTracks...)
		write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
		b := p.Broadcast()
		noError(t, b.Join(Viewer{ID: "v"}))
		if h.Yield("cats", "another", "relay") {
			t.Error("another broadcast was given up")
		}
		if !h.Yield("cats", b.ID(), "relay") {
			t.Error("it was not given up")
		}
		wantEnded(t, p, ErrTakenOver)
		if s := b.State(); !s.Pulled || s.Status != StatusInterrupted || s.Viewers != 1 {
			t.Errorf("%+v", s)
		}
		relay(t, h, Origin{ID: b.ID()})
		if s := b.State(); s.Status != StatusLive || s.Viewers != 1 || h.Yield("cats", b.ID(), "relay") {
			t.Errorf("%+v", s)
		}

		h.Expect([]BroadcastState{{Stream: "dogs", ID: "d", Owner: "owner", StartedAt: testTime, Moves: 2}})
		if !h.Yield("dogs", "d", "relay") {
			t.Error("what is expected was not given up")
		}
		if _, err := h.Broadcast("dogs"); !errors.Is(err, ErrNotLive) {
			t.Error(err)
		}
	})
}
