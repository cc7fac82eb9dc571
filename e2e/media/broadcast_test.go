package media

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/internal/demo"
	"siaran/internal/publish"
	"siaran/internal/testutil"
	"siaran/internal/whep"
	"siaran/internal/whip"
	"siaran/web/access"
)

// TestTwentyViewers come while a broadcaster is in the middle of a long group of pictures. Each starts at the cached
// key frame and gets everything from there on. It computes more than it waits, so it runs alone.
func TestTwentyViewers(t *testing.T) {
	s := harness.Start(t)
	b := harness.GoLive(t, s)
	b.WaitSent(25)

	viewers := make([]*harness.Viewer, 20)
	var dialling sync.WaitGroup
	for i := range viewers {
		dialling.Go(func() {
			v, err := s.TryWatch(t, harness.Cats)
			if err != nil {
				t.Error(err)
				return
			}
			viewers[i] = v
		})
	}
	dialling.Wait()
	if t.Failed() {
		return
	}
	last := b.Sent() + 25
	var first []time.Duration
	for _, v := range viewers {
		v.WaitFrame(last)
		if err := v.CheckContinuous(); err != nil {
			t.Error(err)
		}
		if n := v.VideoFrames()[0].Number; n != 0 {
			t.Errorf("a viewer starts at picture %d, not at the key frame", n)
		}
		first = append(first, v.FirstKeyframe.Sub(v.OfferedAt))
	}
	slices.Sort(first)
	t.Logf("first picture, dialling included: median %s, worst %s", first[len(first)/2], first[len(first)-1])

	harness.Eventually(t, "all are listed", func() bool { return len(s.Viewers(t, harness.Cats)) == len(viewers) })
	for _, v := range viewers {
		v.Leave()
	}
	harness.Eventually(t, "none is listed", func() bool { return len(s.Viewers(t, harness.Cats)) == 0 })
}

// TestLossIsRepaired drops packets before a viewer sees them: it asks for them and gets them.
func TestLossIsRepaired(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	b.WaitSent(3)
	losses := dropping(func(n uint16) bool { return n%7 == 3 }).(*lossFilter)
	v := s.Watch(t, harness.Cats, func(c *whep.Config) { c.Under = losses })
	v.WaitFrame(b.Sent() + 50)
	if losses.count() < 20 {
		t.Errorf("only %d packets were lost", losses.count())
	}
	if err := harness.CheckConsecutive(v.VideoFrames(), uint32(harness.FrameInterval.Seconds()*90000)); err != nil {
		t.Error(err)
	}
}

// TestTakeover publishes a second time with the same token: the viewers stay, and see sequence numbers without
// a gap and timestamps that go on.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	token := s.Token(t, "cats", access.Publish)
	first := s.Broadcast(t, harness.Cats, token, harness.TwoMinutes)
	first.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(10)
	if _, err := whip.Dial(t.Context(), whip.Config{URL: s.WHIP(harness.Cats), Token: s.Token(t, "cats", access.Publish),
		Tracks: harness.Tracks}); !harness.Refused(err, http.StatusConflict) {
		t.Fatalf("another token: %v", err)
	}
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
		// Takeover takes a while, in which nothing is sent. Each session's own timestamps begin at random.
		if step := int32(f.Timestamp - list[i].Timestamp); step <= 0 || step > int32(testutil.Patience.Seconds())*90000 {
			t.Errorf("a step of %d timestamp units from picture %d to %d", step, list[i].Number, f.Number)
		}
		if f.Number != list[i].Number+1 && !(f.Key && f.Number == 0) {
			t.Errorf("picture %d comes after %d", f.Number, list[i].Number)
		}
	}
	select {
	case <-v.Session.Lost():
		t.Error("the viewer was thrown out")
	default:
	}
	harness.Eventually(t, "the first session is gone", func() bool {
		return s.Get(t, first.Session.Resource(), token).StatusCode == http.StatusNotFound
	})
	harness.Eventually(t, "one viewer is counted", func() bool { return s.Stream(t, harness.Cats).Viewers == 1 })
}

// TestSlowViewersHarmNobody has some viewers whose packets get lost by half, in full, or who vanish.
func TestSlowViewersHarmNobody(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), harness.TwoMinutes)
	b.WaitSent(3)
	good := s.Watch(t, harness.Cats)
	for range 2 {
		s.Watch(t, harness.Cats, func(c *whep.Config) { c.Under = dropping(func(n uint16) bool { return n%2 == 0 }) })
		s.Watch(t, harness.Cats, func(c *whep.Config) { c.Under = &dropAll{} })
		s.Watch(t, harness.Cats).Vanish()
	}
	good.WaitFrame(b.Sent() + 75)
	if err := good.CheckContinuous(); err != nil {
		t.Error(err)
	}
}

// TestBroadcasterComesBack: the broadcast is interrupted and the viewer waits; when the broadcaster is back it goes on.
func TestBroadcasterComesBack(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	token := s.Token(t, "cats", access.Publish)
	b := s.Broadcast(t, harness.Cats, token, 25)
	b.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(10)
	started := s.Stream(t, harness.Cats).StartedAt

	b.Vanish()
	harness.Eventually(t, "interrupted", func() bool { return s.Stream(t, harness.Cats).Status == "interrupted" })
	before := len(v.VideoFrames())
	s.Broadcast(t, harness.Cats, token, 25)
	harness.Eventually(t, "live again", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	harness.Eventually(t, "pictures go on", func() bool { return len(v.VideoFrames()) > before+20 })
	if s.Stream(t, harness.Cats).StartedAt != started {
		t.Error("it is another broadcast")
	}
}

// TestBroadcasterVanishes for good: the broadcast ends.
func TestBroadcasterVanishes(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Grace = time.Second })
	b := harness.GoLive(t, s)
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(10)
	b.Vanish()
	harness.Eventually(t, "offline", func() bool { return s.Stream(t, harness.Cats).Status == "offline" })
	harness.Eventually(t, "the viewer's session is gone", func() bool {
		return s.Get(t, v.Session.Resource(), "").StatusCode == http.StatusNotFound
	})
	if _, err := s.TryWatch(t, harness.Cats); !harness.Refused(err, http.StatusConflict) {
		t.Errorf("a new viewer gets %v", err)
	}
}

// TestSenderReports checks that sender reports put audio and video that belong together at the same time.
func TestSenderReports(t *testing.T) {
	s := harness.Start(t)
	b := s.Broadcast(t, harness.Cats, s.Token(t, "cats", access.Publish), 25)
	b.WaitSent(3)
	v := s.Watch(t, harness.Cats)
	harness.Eventually(t, "sender reports", func() bool {
		return len(v.Reports(webrtc.RTPCodecTypeVideo)) >= 2 && len(v.Reports(webrtc.RTPCodecTypeAudio)) >= 2
	})
	at := func(kind webrtc.RTPCodecType, rate float64, f harness.Frame) time.Time {
		reports := v.Reports(kind)
		r := reports[len(reports)-1]
		return ntpTime(r.NTPTime).Add(time.Duration(float64(int32(f.Timestamp-r.RTPTime)) / rate * float64(time.Second)))
	}
	v.WaitFrame(b.Sent() + 10) // at the live edge
	var apart, age time.Duration
	defer func() { t.Logf("audio and video are %s apart; the video is %s old", apart, age) }()
	// A report is made while other work may hold up the sender, so a later one may be better.
	harness.Eventually(t, "audio and video are in step, and of the present", func() bool {
		pictures, sounds := v.VideoFrames(), v.AudioFrames()
		picture, sound := pictures[len(pictures)-1], sounds[len(sounds)-1]
		shown := at(webrtc.RTPCodecTypeVideo, 90000, picture)
		apart = at(webrtc.RTPCodecTypeAudio, 48000, sound).Sub(shown)
		apart -= time.Duration(sound.Number)*harness.AudioInterval - time.Duration(picture.Number)*harness.FrameInterval
		age = time.Since(shown)
		return apart.Abs() <= 60*time.Millisecond && age >= 0 && age <= time.Minute
	})
}

// ntpTime is a time of RFC 3550 section 4.
func ntpTime(n uint64) time.Time {
	const from1900 = 2208988800
	return time.Unix(int64(n>>32)-from1900, int64(n&0xffffffff)*1e9>>32)
}

// TestRestart ends a server while it is live and starts another on the same data.
func TestRestart(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	token := s.Token(t, "cats", access.Publish)
	b := s.Broadcast(t, harness.Cats, token, 25)
	b.WaitSent(3)
	harness.Eventually(t, "live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	if code := s.Call(t, http.MethodPatch, "/api/streams/cats", s.Admin, `{"title":"Two cats"}`); code/100 != 2 {
		t.Fatal(code)
	}
	v := s.Watch(t, harness.Cats)
	v.WaitFrame(5)
	certificate := harness.ReadFile(t, s.Data, server.CertificateFile)
	s.Stop(t)
	v.Vanish()
	b.Vanish()

	again := harness.Start(t, func(c *server.Config) { c.Data = s.Data })
	if got := again.Stream(t, harness.Cats); got.Title != "Two cats" || got.Status != "interrupted" || got.Viewers != 0 {
		t.Errorf("after the restart: %+v", got)
	}
	if string(certificate) != string(harness.ReadFile(t, s.Data, server.CertificateFile)) {
		t.Error("the certificate has changed")
	}
	b = again.Broadcast(t, harness.Cats, token, 25)
	b.WaitSent(10)
	again.Watch(t, harness.Cats).WaitFrame(10)
}

// TestPublisherComesBack after a restart of the server, by itself.
func TestPublisherComesBack(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Listen = testutil.FreeAddress(t) })
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		cfg := whip.Config{URL: s.WHIP(harness.Cats), Token: s.Token(t, "cats", access.Publish)}
		ended <- publish.Clip(ctx, cfg, media, publish.Options{Loop: true}, slog.New(slog.DiscardHandler))
	}()
	defer cancel()
	harness.Eventually(t, "live", func() bool { return s.Stream(t, harness.Cats).Status == "live" })
	s.Stop(t)

	again := harness.Start(t, func(c *server.Config) { c.Data, c.Listen = s.Data, strings.TrimPrefix(s.URL, "http://") })
	harness.Eventually(t, "live again", func() bool { return again.Stream(t, harness.Cats).Status == "live" })
	v := again.Watch(t, harness.Cats)
	harness.Eventually(t, "pictures", func() bool { return len(v.VideoFrames()) > 10 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	harness.Eventually(t, "offline", func() bool { return again.Stream(t, harness.Cats).Status == "offline" })
}
