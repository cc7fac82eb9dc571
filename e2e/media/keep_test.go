package media

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestViewersStayForTheNextBroadcast stops a broadcast and starts it again: the
// stream is listed as ended at once, and whoever watched goes on without a new session.
func TestViewersStayForTheNextBroadcast(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.KeepViewers = time.Minute })
	token := s.Token(t, "cats", access.Publish)
	events := s.FollowEvents(t)
	first := s.Broadcast(t, harness.Cats, token, harness.TwoMinutes)
	first.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(10)
	harness.Eventually(t, "the viewer is listed", func() bool { return len(s.Viewers(t, harness.Cats)) == 1 })
	first.Stop()
	events.Wait("the stream is listed as ended", func(lives map[string]harness.Stream) bool { return len(lives) == 0 })
	if _, err := s.TryWatch(t, harness.Cats); !harness.Refused(err, http.StatusConflict) {
		t.Errorf("a new viewer in between: %v", err)
	}
	harness.Eventually(t, "nobody is listed as its viewer", func() bool { return len(s.Viewers(t, harness.Cats)) == 0 })
	before := len(v.VideoFrames())
	second := s.Broadcast(t, harness.Cats, token, harness.TwoMinutes)
	second.WaitSent(50)
	harness.Eventually(t, "the viewer sees the second", func() bool {
		list := v.VideoFrames()
		i := slices.IndexFunc(list[before:], func(f harness.Frame) bool { return f.Key && f.Number == 0 })
		return i >= 0 && len(list) > before+i+30
	})
	list := v.VideoFrames()
	for i, f := range list[1:] {
		if step := int32(f.Timestamp - list[i].Timestamp); step <= 0 {
			t.Errorf("a step of %d timestamp units from picture %d to %d", step, list[i].Number, f.Number)
		}
	}
	harness.Eventually(t, "the viewer is listed again", func() bool { return len(s.Viewers(t, harness.Cats)) == 1 })
	late := s.Watch(t, harness.Cats)
	late.WaitFrame(5)
	if !late.VideoFrames()[0].Key {
		t.Error("who comes later does not start at a key frame")
	}
	second.Stop()
	harness.Eventually(t, "it is listed as ended again", func() bool {
		return s.Stream(t, harness.Cats).Status == string(siaran.StatusOffline)
	})
}
