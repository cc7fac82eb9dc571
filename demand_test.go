package siaran

import (
	"testing"
	"time"
)

// TestRestingLayer: what rests keeps its size and nothing else, and whoever feeds it hears that it is needed.
func TestRestingLayer(t *testing.T) {
	hub := NewHub(time.Minute, func(CodecName) Framer { return keyframes{} })
	specs := []TrackSpec{{Codec: Codec{Name: VP8, ClockRate: 90000}, RIDs: []string{"l", "h"}}}
	pub, err := hub.Publish("cats", "me", specs)
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Close()
	w := pub.Writer(KindVideo, "l")
	l := w.Layer()
	write := func(seq int64) {
		t.Helper()
		if err := w.Write(seq, seq*3000, true, make([]byte, 100), time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	heard := func() bool {
		select {
		case <-pub.KeyframeRequests():
			return true
		default:
			return false
		}
	}
	write(1)
	l.Need()
	if l.Resting() || heard() || time.Since(l.Needed()) > time.Minute {
		t.Error("a layer that comes is asked for")
	}
	w.Rest(true)
	if _, ok := l.Keyframe(); ok || !l.Resting() || l.Get(l.Head()-1) != nil {
		t.Error("something old is left to begin with")
	}
	if width, _ := l.Size(); width != 64 {
		t.Errorf("it was 64 pixels wide, and is %d", width)
	}
	if l.Need(); !heard() {
		t.Error("nobody hears that it is needed")
	}
	w.Rest(false)
	write(2)
	if k, ok := l.Keyframe(); !ok || k != l.Head()-1 || l.Resting() {
		t.Error("it does not go on")
	}
	w.Rest(true)
	if _, err := hub.Publish("cats", "me", specs); err != nil {
		t.Fatal(err)
	}
	if l.Resting() {
		t.Error("it rests in another session")
	}
	if w.Rest(true); l.Resting() {
		t.Error("a session that is over puts it to rest")
	}
}

// keyframes takes every packet for a key frame of 64 by 36 pixels.
type keyframes struct{}

func (keyframes) Next([]byte, int64, bool) Frame {
	return Frame{End: true, Keyframe: true, Width: 64, Height: 36}
}
func (keyframes) Lost() {}
