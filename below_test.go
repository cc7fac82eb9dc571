package siaran

import (
	"math"
	"testing"
	"time"
)

func TestViewersBelowCount(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	defer h.Close()
	f := h.Feed()
	p := publish(t, h, "owner", testTracks...)
	write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
	b := p.Broadcast()
	noError(t, b.Join(Viewer{ID: "v"}))
	want := func(viewers, peak, total int) {
		t.Helper()
		s := take(t, f, 1)[0].State
		if s.Viewers != viewers || s.PeakViewers != peak || s.TotalViewers != total {
			t.Errorf("%d viewers, peak %d, %d in all; want %d, %d, %d",
				s.Viewers, s.PeakViewers, s.TotalViewers, viewers, peak, total)
		}
	}
	want(1, 1, 1)
	b.Below("one", 10, 12)
	b.Below("two", 5, 5)
	want(16, 16, 18)
	b.Below("one", 3, 13)
	want(9, 16, 19)
	b.Below("one", 3, 4) // joins never become fewer
	b.Below("one", 3, 13)
	if got := f.Take(); len(got) != 0 {
		t.Errorf("nothing has changed, but it is told: %+v", got)
	}
	b.GoneBelow("two")
	want(4, 16, 19)
	b.GoneBelow("two")
	b.Below("one", math.MaxInt, math.MaxUint64)
	want(1+mostBelow, 1+mostBelow, 19+mostJoins)
	b.Below("one", -1, 0)
	want(1, 1+mostBelow, 19+mostJoins)
	p.Stop()
	if s := take(t, f, 1)[0].State; s.Viewers != 0 {
		t.Errorf("%d viewers of a broadcast that has ended", s.Viewers)
	}
	b.Below("one", 3, 0)
	if s := b.State(); s.Viewers != 0 {
		t.Errorf("%d viewers of a broadcast that has ended", s.Viewers)
	}
}

// TestViewersBelowStay: those who stay for the next broadcast count there as they do here.
func TestViewersBelowStay(t *testing.T) {
	h := NewHub(testGrace, newSampleFramer)
	h.KeepViewers(time.Minute)
	defer h.Close()
	p := publish(t, h, "owner", testTracks...)
	write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
	b := p.Broadcast()
	b.Below("one", 10, 12)
	p.Stop()
	if isDone(b.Done()) {
		t.Fatal("the viewers below do not stay")
	}
	p = publish(t, h, "owner", testTracks...)
	write(t, p.Writer(KindVideo, ""), 1, 0, vp8Key, time.Now())
	if s := b.State(); s.Viewers != 10 || s.TotalViewers != 10 || s.PeakViewers != 10 {
		t.Errorf("%+v", s)
	}
	b.Below("one", 11, 13)
	if s := b.State(); s.Viewers != 11 || s.TotalViewers != 11 || s.PeakViewers != 11 {
		t.Errorf("%+v", s)
	}
}
