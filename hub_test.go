package siaran

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func wantStatus(t *testing.T, b *Broadcast, status Status, reason EndReason) {
	t.Helper()
	if s := b.State(); s.Status != status || s.EndReason != reason || s.EndedAt.IsZero() != (reason == "") {
		t.Errorf("%s %q ended at %v, want %s %q", s.Status, s.EndReason, s.EndedAt, status, reason)
	}
}

func isDone(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

func wantEnded(t *testing.T, p *Publication, err error) {
	t.Helper()
	if !isDone(p.Done()) || !errors.Is(p.Err(), err) {
		t.Errorf("publication done %v, %v; want %v", isDone(p.Done()), p.Err(), err)
	}
}

func TestPublish(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	if _, err := h.Broadcast("cats"); !errors.Is(err, ErrNotLive) {
		t.Error(err)
	}
	p := publish(t, h, "owner", testTracks...)
	if _, err := h.Broadcast("cats"); !errors.Is(err, ErrNotLive) {
		t.Errorf("before the first media: %v", err)
	}
	if _, err := h.Publish("cats", "other", testTracks); !errors.Is(err, ErrStreamTaken) {
		t.Errorf("another owner: %v", err)
	}
	if _, err := h.Publish("dogs", "other", testTracks); err != nil {
		t.Errorf("another stream: %v", err)
	}
	write(t, p.Writer(KindAudio, ""), 1, 0, []byte{1}, testTime)
	b, err := h.Broadcast("cats")
	if err != nil || b != p.Broadcast() || b.Owner() != "owner" || b.Stream() != "cats" {
		t.Errorf("%+v, %v", b, err)
	}
	if p.Writer(KindVideo, "h") != nil || p.Writer(KindOther, "") != nil || len(p.Writers()) != 2 ||
		p.Writers()[0].Layer() != b.Audio().Layers[0] {
		t.Error("writers that were not negotiated, or in another order")
	}
	p.Stop()
	wantStatus(t, b, StatusOffline, EndStopped)
	wantEnded(t, p, ErrEnded)
	if !isDone(b.Done()) {
		t.Error("not done")
	}
	if err := p.Writer(KindAudio, "").Write(2, 960, false, []byte{1}, testTime); !errors.Is(err, ErrEnded) {
		t.Errorf("write after the end: %v", err)
	}
	if err := b.Join(Viewer{ID: "v"}); !errors.Is(err, ErrEnded) {
		t.Errorf("join after the end: %v", err)
	}
	p.Stop()
	p.Interrupt()
	p.Abandon()
	b.Leave("v")
	wantStatus(t, b, StatusOffline, EndStopped)
	if _, err := h.Publish("cats", "other", testTracks); err != nil {
		t.Errorf("another owner after the end: %v", err)
	}
}

func TestTakeover(t *testing.T) {
	simulcast := TrackSpec{Codec: testVP8, RIDs: []string{"h", "l"}}
	same := []struct{ before, after []TrackSpec }{
		{testTracks, testTracks},
		{testTracks, []TrackSpec{testTracks[1], testTracks[0]}},
		{[]TrackSpec{simulcast}, []TrackSpec{{Codec: Codec{Name: VP8, ClockRate: 90000, FMTP: "max-fs=1"},
			RIDs: []string{"h", "l"}}}},
	}
	for i, test := range same {
		h := NewHub(time.Minute, newSampleFramer)
		p := publish(t, h, "owner", test.before...)
		again := publish(t, h, "owner", test.after...)
		if again.Broadcast() != p.Broadcast() || again.Broadcast().over() {
			t.Errorf("%d: not continued", i)
		}
		wantEnded(t, p, ErrTakenOver)
		p.Stop()
		p.Interrupt()
		p.Abandon()
		if again.Broadcast().over() || isDone(again.Done()) {
			t.Errorf("%d: who has been taken over has still a say", i)
		}
		h.Close()
	}
	other := []struct{ before, after []TrackSpec }{
		{testTracks, testTracks[:1]},
		{testTracks[:1], testTracks},
		{testTracks, []TrackSpec{testTracks[0], simulcast}},
		{[]TrackSpec{simulcast}, []TrackSpec{{Codec: testVP8, RIDs: []string{"l", "h"}}}},
		{testTracks[1:], []TrackSpec{{Codec: Codec{Name: H264, ClockRate: 90000}}}},
	}
	for i, test := range other {
		h := NewHub(time.Minute, newSampleFramer)
		p := publish(t, h, "owner", test.before...)
		write(t, p.Writers()[0], 1, 0, vp8Key, testTime)
		again := publish(t, h, "owner", test.after...)
		if again.Broadcast() == p.Broadcast() || isDone(again.Done()) {
			t.Errorf("%d: continued", i)
		}
		wantEnded(t, p, ErrTakenOver)
		wantStatus(t, p.Broadcast(), StatusOffline, EndReplaced)
		h.Close()
		wantEnded(t, again, ErrEnded)
	}
}

// begin is a broadcast of audio that is live.
func begin(t *testing.T, h *Hub) (*Publication, *Writer) {
	t.Helper()
	p := publish(t, h, "owner", testTracks[0])
	w := p.Writers()[0]
	write(t, w, 1, 0, []byte{1}, time.Now())
	return p, w
}

const testGrace = 30 * time.Second

func TestInterruptedBroadcastResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(testGrace, newSampleFramer)
		p, w := begin(t, h)
		b := p.Broadcast()
		p.Interrupt()
		wantStatus(t, b, StatusInterrupted, "")
		if _, err := h.Broadcast("cats"); err != nil {
			t.Errorf("an interrupted broadcast is not there: %v", err)
		}
		time.Sleep(testGrace - 1)
		p.Interrupt() // does not restart the grace time
		write(t, w, 2, 960, []byte{1}, time.Now())
		wantStatus(t, b, StatusLive, "")
		time.Sleep(2 * testGrace)
		wantStatus(t, b, StatusLive, "")
		p.Interrupt()
		time.Sleep(testGrace)
		synctest.Wait()
		wantStatus(t, b, StatusOffline, EndVanished)
		wantEnded(t, p, ErrEnded)
		if _, err := h.Broadcast("cats"); !errors.Is(err, ErrNotLive) {
			t.Error(err)
		}
	})
}

func TestAbandonedBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(testGrace, newSampleFramer)
		p := publish(t, h, "owner", testTracks...)
		p.Abandon()
		wantStatus(t, p.Broadcast(), StatusOffline, EndVanished)
		wantEnded(t, p, ErrEnded)

		p, w := begin(t, h)
		b := p.Broadcast()
		p.Interrupt()
		time.Sleep(testGrace / 2)
		p.Abandon() // the grace time goes on
		wantEnded(t, p, ErrEnded)
		wantStatus(t, b, StatusInterrupted, "")
		if err := w.Write(2, 960, false, []byte{1}, time.Now()); err == nil {
			t.Error("an abandoned publication writes")
		}
		if _, err := h.Publish("cats", "other", testTracks[:1]); !errors.Is(err, ErrStreamTaken) {
			t.Errorf("another owner in the grace time: %v", err)
		}
		time.Sleep(testGrace/2 - 1)
		wantStatus(t, b, StatusInterrupted, "")

		again := publish(t, h, "owner", testTracks[0]) // in the last moment
		if again.Broadcast() != b {
			t.Fatal("another broadcast")
		}
		time.Sleep(testGrace - 1)
		wantStatus(t, b, StatusInterrupted, "")
		write(t, again.Writers()[0], 70, 70, []byte{1}, time.Now())
		wantStatus(t, b, StatusLive, "")
		again.Abandon()
		time.Sleep(testGrace)
		synctest.Wait()
		wantStatus(t, b, StatusOffline, EndVanished)
	})
}

func TestCloseLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewHub(testGrace, newSampleFramer)
		p, _ := begin(t, h)
		p.Interrupt()
		waiting, err := h.Publish("dogs", "owner", testTracks)
		if err != nil {
			t.Fatal(err)
		}
		h.Close()
		h.Close()
		wantStatus(t, p.Broadcast(), StatusOffline, EndShutdown)
		wantStatus(t, waiting.Broadcast(), StatusOffline, EndShutdown)
		wantEnded(t, waiting, ErrEnded)
		if _, err := h.Publish("cats", "owner", testTracks); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		time.Sleep(2 * testGrace)
		wantStatus(t, p.Broadcast(), StatusOffline, EndShutdown)
	})
}

func TestEndByOwner(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	if err := h.End("cats", EndByOwner); !errors.Is(err, ErrNotLive) {
		t.Error(err)
	}
	p, _ := begin(t, h)
	if err := h.End("cats", EndByOwner); err != nil {
		t.Error(err)
	}
	wantStatus(t, p.Broadcast(), StatusOffline, EndByOwner)
	wantEnded(t, p, ErrEnded)
}

func TestKeyframeRequests(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p := publish(t, h, "owner", testTracks...)
	video, audio := p.Writer(KindVideo, ""), p.Writer(KindAudio, "")
	audio.Layer().RequestKeyframe()
	if len(p.KeyframeRequests()) != 0 {
		t.Error("a key frame of audio")
	}
	for range 3 {
		video.Layer().RequestKeyframe()
	}
	<-p.KeyframeRequests()
	if len(p.KeyframeRequests()) != 0 || !video.KeyframeWanted() || video.KeyframeWanted() {
		t.Error("requests are not merged")
	}
	video.Layer().RequestKeyframe()
	<-p.KeyframeRequests()
	write(t, video, 1, 0, vp8Key, testTime)
	if video.KeyframeWanted() {
		t.Error("wanted though there is a new one")
	}
	p.Abandon()
	video.Layer().RequestKeyframe() // there is nobody to ask
	again := publish(t, h, "owner", testTracks...)
	select {
	case <-again.KeyframeRequests():
	default:
		t.Error("what was asked for in between is forgotten")
	}
	if !again.Writer(KindVideo, "").KeyframeWanted() {
		t.Error("not wanted any more")
	}
}

func TestViewersAreCounted(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p, _ := begin(t, h)
	b := p.Broadcast()
	for _, id := range []ViewerID{"a", "b", "c"} {
		if err := b.Join(Viewer{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	b.Leave("a")
	b.Leave("a")
	b.Leave("never")
	if err := b.Join(Viewer{ID: "d"}); err != nil {
		t.Fatal(err)
	}
	if s := b.State(); s.Viewers != 3 || s.PeakViewers != 3 || s.TotalViewers != 4 {
		t.Errorf("%+v", s)
	}
	p.Stop()
	if s := b.State(); s.Viewers != 0 || s.PeakViewers != 3 || s.TotalViewers != 4 {
		t.Errorf("after the end %+v", s)
	}
}

func TestNames(t *testing.T) {
	for name, good := range map[string]bool{"cats": true, "0-_": true, "": false, "-a": false, "Cats": false, "a/b": false,
		"a\n": false, string(slices.Repeat([]byte("a"), 65)): false} {
		if got, err := ParseStreamName(name); (err == nil) != good || good && string(got) != name || !good &&
			!errors.Is(err, ErrStreamName) {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
	id := NewSessionID()
	if len(id) < 43 || id == NewSessionID() || len(id.String()) > 10 {
		t.Errorf("session id %q shown as %s", string(id), id)
	}
	if SessionID("").String() == "" {
		t.Error("an empty id cannot be seen")
	}
}
