package siaran

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

const testKeep = 10 * time.Second

// stopWithViewer is a broadcast of audio and video with a viewer, which its broadcaster has just stopped.
func stopWithViewer(t *testing.T) (*Hub, *Feed, *Broadcast) {
	t.Helper()
	h := NewHub(testGrace, newSampleFramer)
	h.KeepViewers(testKeep)
	f := h.Feed()
	p := publish(t, h, "owner", testTracks...)
	write(t, p.Writer(KindAudio, ""), 1, 0, []byte{1}, time.Now())
	write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
	b := p.Broadcast()
	if err := b.Join(Viewer{ID: "v"}); err != nil {
		t.Fatal(err)
	}
	take(t, f, 1)
	first := b.ID()
	p.Stop()
	wantEnded(t, p, ErrEnded)
	c := take(t, f, 1)[0]
	if c.State.ID != first || c.State.Status != StatusOffline || c.State.EndReason != EndStopped ||
		c.State.EndedAt.IsZero() || !slices.Equal(c.Left, []ViewerID{"v"}) || c.State.Viewers != 0 {
		t.Errorf("the end is told as %+v", c)
	}
	if _, err := h.Broadcast("cats"); !errors.Is(err, ErrNotLive) || h.Holds("cats", "owner") {
		t.Errorf("there is still a broadcast: %v", err)
	}
	if isDone(b.Done()) {
		t.Fatal("the viewers were sent away")
	}
	return h, f, b
}

func TestKeptViewersGoOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f, b := stopWithViewer(t)
		defer h.Close()
		video := b.Video().Layers[0]
		head := video.Head()
		if _, ok := video.Keyframe(); ok || video.Get(head-1) != nil {
			t.Error("what was broadcast before is still there")
		}
		if w, _ := video.Size(); w != 0 {
			t.Error("the size of before is still there")
		}
		time.Sleep(testKeep - 1)
		again := publish(t, h, "owner", testTracks...) // in the last moment
		if again.Broadcast() != b || !h.Holds("cats", "owner") {
			t.Fatal("the viewers do not follow")
		}
		time.Sleep(testKeep) // connecting may take its time
		write(t, again.Writer(KindVideo, ""), 7, 7, vp8Key, time.Now())
		c := take(t, f, 1)[0]
		if c.State.ID != b.ID() || c.State.Status != StatusLive || !c.State.StartedAt.Equal(time.Now()) ||
			c.State.Viewers != 1 || c.State.TotalViewers != 1 || !slices.Equal(ids(c.Joined), []ViewerID{"v"}) {
			t.Errorf("the next broadcast is told as %+v", c)
		}
		if p := video.Get(head); p == nil || !p.Keyframe {
			t.Errorf("its packets do not continue at %d", head)
		}
		if got, err := h.Broadcast("cats"); err != nil || got != b {
			t.Error(err)
		}
		b.Leave("v")
		if c := take(t, f, 1)[0]; !slices.Equal(c.Left, []ViewerID{"v"}) {
			t.Errorf("%+v", c)
		}
		again.Stop() // nobody is left to be kept
		if !isDone(b.Done()) {
			t.Error("kept for nobody")
		}
	})
}

func TestKeptViewersGoInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f, b := stopWithViewer(t)
		time.Sleep(testKeep - 1)
		synctest.Wait()
		if isDone(b.Done()) {
			t.Error("too early")
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if !isDone(b.Done()) {
			t.Error("too late")
		}
		take(t, f, 0) // it has been told already
		h.Close()
	})
}

// TestFailedReturnKeepsViewers has a broadcaster whose first attempts to come back fail.
func TestFailedReturnKeepsViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, f, b := stopWithViewer(t)
		defer h.Close()
		for range 3 {
			time.Sleep(testKeep - 1)
			publish(t, h, "owner", testTracks...).Abandon()
			time.Sleep(testKeep - 1)
			publish(t, h, "owner", testTracks...).Stop()
		}
		if isDone(b.Done()) {
			t.Fatal("not kept")
		}
		time.Sleep(testKeep)
		synctest.Wait()
		if !isDone(b.Done()) {
			t.Error("kept for ever")
		}
		take(t, f, 0)
	})
}

// TestNobodyElseGetsKeptViewers publishes what does not fit, with another owner, and ends what has ended.
func TestNobodyElseGetsKeptViewers(t *testing.T) {
	for name, do := range map[string]func(t *testing.T, h *Hub){
		"other owner":  func(t *testing.T, h *Hub) { _, err := h.Publish("cats", "other", testTracks); noError(t, err) },
		"other tracks": func(t *testing.T, h *Hub) { _, err := h.Publish("cats", "owner", testTracks[:1]); noError(t, err) },
		"ended": func(t *testing.T, h *Hub) {
			if err := h.EndOf("cats", "owner", EndByOwner); !errors.Is(err, ErrNotLive) {
				t.Errorf("ended twice: %v", err)
			}
		},
		"closed": func(_ *testing.T, h *Hub) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, f, b := stopWithViewer(t)
				defer h.Close()
				do(t, h)
				if !isDone(b.Done()) {
					t.Error("the viewers stay")
				}
				take(t, f, 0)
			})
		})
	}
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestOnlyStoppingKeepsViewers ends a broadcast in the other ways.
func TestOnlyStoppingKeepsViewers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, end := range []func(h *Hub, p *Publication){
			func(h *Hub, _ *Publication) { noError(t, h.End("cats", EndByOwner)) },
			func(_ *Hub, p *Publication) { p.Abandon(); time.Sleep(testGrace); synctest.Wait() },
			func(h *Hub, _ *Publication) { h.Close() },
		} {
			h := NewHub(testGrace, newSampleFramer)
			h.KeepViewers(testKeep)
			p, _ := begin(t, h)
			noError(t, p.Broadcast().Join(Viewer{ID: "v"}))
			end(h, p)
			if !isDone(p.Broadcast().Done()) {
				t.Error("the viewers stay")
			}
			h.Close()
		}
	})
}

// TestKeepingReturnsMemory has broadcasters come and go with a bounded memory.
func TestKeepingReturnsMemory(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	h.LimitMemory(64 << 20)
	h.KeepViewers(testKeep)
	defer h.Close()
	free := h.memory.free.Load()
	var b *Broadcast
	for i := range 5 {
		p := publish(t, h, "owner", testTracks...)
		b = p.Broadcast()
		for seq := range int64(2000) {
			payload := vp8Next
			if seq == 0 {
				payload = vp8Key
			}
			write(t, p.Writer(KindVideo, ""), seq, 3000*seq, append(payload, make([]byte, 1000)...), time.Now())
		}
		if i == 0 {
			noError(t, b.Join(Viewer{ID: "v"}))
		}
		p.Stop()
		if held := free - h.memory.free.Load(); held > 2<<20 {
			t.Errorf("%d bytes are held without a broadcast", held)
		}
	}
	h.Close()
	if left := h.memory.free.Load(); left != free {
		t.Errorf("%d bytes are lost", free-left)
	}
}
