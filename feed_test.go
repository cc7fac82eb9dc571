package siaran

import (
	"slices"
	"testing"
	"time"
)

func take(t *testing.T, f *Feed, changes int) []Change {
	t.Helper()
	if ready := len(f.Ready()) == 1; ready != (changes > 0) {
		t.Errorf("ready: %v", ready)
	}
	if changes > 0 {
		<-f.Ready()
	}
	list := f.Take()
	if len(list) != changes {
		t.Fatalf("%d changes, want %d: %+v", len(list), changes, list)
	}
	return list
}

func ids(viewers []Viewer) (list []ViewerID) {
	for _, v := range viewers {
		list = append(list, v.ID)
	}
	slices.Sort(list)
	return list
}

func TestFeed(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	f := h.Feed()
	defer f.Close()
	p := publish(t, h, "owner", testTracks...)
	take(t, f, 0)
	video := p.Writer(KindVideo, "")
	write(t, video, 1, 0, vp8Key, testTime)
	write(t, video, 2, 3000, vp8Next, testTime)
	if c := take(t, f, 1)[0]; c.State.Status != StatusLive || c.State.Video.Width != 640 {
		t.Errorf("%+v", c)
	}
	write(t, video, 3, 6000, vp8Next, testTime)
	write(t, video, 4, 9000, vp8Key, testTime)
	take(t, f, 0) // nothing has changed
	small := slices.Clone(vp8Key)
	small[7], small[8] = 0x40, 0x01
	write(t, video, 5, 12000, small, testTime)
	if c := take(t, f, 1)[0]; c.State.Video.Width != 320 {
		t.Errorf("%+v", c)
	}
	p.Interrupt()
	write(t, video, 6, 15000, vp8Next, testTime)
	p.Interrupt()
	if c := take(t, f, 1)[0]; c.State.Status != StatusInterrupted {
		t.Errorf("%+v", c)
	}
}

func TestFeedOfViewers(t *testing.T) {
	h := NewHub(time.Minute, newSampleFramer)
	defer h.Close()
	p, _ := begin(t, h)
	b := p.Broadcast()
	join := func(id ViewerID) {
		t.Helper()
		if err := b.Join(Viewer{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	join("early")
	f := h.Feed()
	defer f.Close()
	if c := take(t, f, 1)[0]; !slices.Equal(ids(c.Joined), []ViewerID{"early"}) || c.State.Viewers != 1 {
		t.Errorf("the beginning of a feed: %+v", c)
	}
	join("a")
	join("b")
	b.Leave("a") // has not been seen
	b.Leave("early")
	if c := take(t, f, 1)[0]; !slices.Equal(ids(c.Joined), []ViewerID{"b"}) ||
		!slices.Equal(c.Left, []ViewerID{"early"}) || c.State.Viewers != 1 || c.State.TotalViewers != 3 {
		t.Errorf("%+v", c)
	}
	b.Leave("b")
	join("b") // back before anyone has seen it leave
	if c := take(t, f, 1)[0]; !slices.Equal(ids(c.Joined), []ViewerID{"b"}) || len(c.Left) != 0 {
		t.Errorf("%+v", c)
	}
	join("c")
	p.Stop()
	c := take(t, f, 1)[0]
	if len(c.Joined) != 0 || !slices.Equal(c.Left, []ViewerID{"b"}) || c.State.EndReason != EndStopped ||
		c.State.Viewers != 0 || c.State.PeakViewers != 3 {
		t.Errorf("at the end: %+v", c)
	}
	p, _ = begin(t, h)
	p.Stop()
	p, _ = begin(t, h)
	list := take(t, f, 2)
	if list[0].State.EndReason != EndStopped || list[1].State.ID != p.Broadcast().ID() ||
		list[1].State.Status != StatusLive {
		t.Errorf("out of order: %+v", list)
	}
	f.Close()
	p.Stop()
	take(t, f, 0)
	f.Close()
	if len(h.feeds) != 0 {
		t.Error("the hub keeps a closed feed")
	}
}
