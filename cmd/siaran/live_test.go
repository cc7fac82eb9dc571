package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/webrtc/v3"

	"siaran"
	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/whep"
	"siaran/cmd/siaran/internal/whip"
	"siaran/web/access"
)

const cats = siaran.StreamName("cats")

// tenSeconds is a key frame interval.
const tenSeconds = int(10 * time.Second / pictureTime)

// TestTwentyViewers come while a broadcaster is in the middle of a long group of pictures. Each starts at the cached
// key frame and gets everything from there on.
func TestTwentyViewers(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), tenSeconds)
	b.waitSent(25)

	viewers := make([]*testViewer, 20)
	var dialling sync.WaitGroup
	for i := range viewers {
		dialling.Go(func() {
			v, err := s.tryWatch(t, cats)
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
	last := b.sent() + 25
	var first []time.Duration
	for _, v := range viewers {
		v.waitPicture(last)
		if err := v.checkSteady(); err != nil {
			t.Error(err)
		}
		if n := v.pictures()[0].number; n != 0 {
			t.Errorf("a viewer starts at picture %d, not at the key frame", n)
		}
		first = append(first, v.firstKey.Sub(v.asked))
	}
	slices.Sort(first)
	t.Logf("first picture, dialling included: median %s, worst %s", first[len(first)/2], first[len(first)-1])

	eventually(t, "all are listed", func() bool { return len(s.viewers(t, cats)) == len(viewers) })
	for _, v := range viewers {
		v.leave()
	}
	eventually(t, "none is listed", func() bool { return len(s.viewers(t, cats)) == 0 })
}

// TestLossIsRepaired drops packets before a viewer sees them: it asks for them and gets them.
func TestLossIsRepaired(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), tenSeconds)
	b.waitSent(3)
	losses := losing(func(n uint16) bool { return n%7 == 3 }).(*loser)
	v := s.watch(t, cats, func(c *whep.Config) { c.Under = losses })
	v.waitPicture(b.sent() + 50)
	if losses.count() < 20 {
		t.Errorf("only %d packets were lost", losses.count())
	}
	if err := checkRow(v.pictures(), uint32(pictureTime.Seconds()*90000)); err != nil {
		t.Error(err)
	}
}

// TestTakeover publishes a second time with the same token: the viewers stay, and see sequence numbers without
// a gap and timestamps that go on.
func TestTakeover(t *testing.T) {
	s := startServer(t)
	token := s.token(t, "cats", access.Publish)
	first := s.broadcast(t, cats, token, 25)
	first.waitSent(3)
	v := s.watch(t, cats)
	v.waitPicture(10)
	if _, err := whip.Dial(t.Context(), whip.Config{URL: s.whip(cats), Token: s.token(t, "cats", access.Publish), Tracks: testTracks}); !refused(err, http.StatusConflict) {
		t.Fatalf("another token: %v", err)
	}
	before := len(v.pictures())
	second := s.broadcast(t, cats, token, 25)
	second.waitSent(50)
	eventually(t, "the viewer sees the second", func() bool {
		list := v.pictures()
		i := slices.IndexFunc(list[before:], func(f shown) bool { return f.key && f.number == 0 })
		return i >= 0 && len(list) > before+i+30
	})
	list := v.pictures()
	for i, f := range list[1:] {
		// Takeover takes a moment, in which nothing is sent.
		if step := int32(f.timestamp - list[i].timestamp); step <= 0 || step > 5*90000 {
			t.Errorf("a step of %d timestamp units from picture %d to %d", step, list[i].number, f.number)
		}
		if f.number != list[i].number+1 && !(f.key && f.number == 0) {
			t.Errorf("picture %d comes after %d", f.number, list[i].number)
		}
	}
	select {
	case <-v.session.Lost():
		t.Error("the viewer was thrown out")
	default:
	}
	if got := s.get(t, first.session.Resource(), token).StatusCode; got != http.StatusNotFound {
		t.Errorf("the first session answers %d", got)
	}
	if n := s.stream(t, cats).Viewers; n != 1 {
		t.Errorf("%d viewers", n)
	}
}

func refused(err error, code int) bool {
	publishing, watching := (*whip.ServerError)(nil), (*whep.StatusError)(nil)
	return errors.As(err, &publishing) && publishing.Code == code || errors.As(err, &watching) && watching.Code == code
}

// TestSlowViewersHarmNobody has some viewers whose packets get lost by half, in full, or who vanish.
func TestSlowViewersHarmNobody(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 50)
	b.waitSent(3)
	good := s.watch(t, cats)
	for range 2 {
		s.watch(t, cats, func(c *whep.Config) { c.Under = losing(func(n uint16) bool { return n%2 == 0 }) })
		s.watch(t, cats, func(c *whep.Config) { c.Under = &deaf{} })
		s.watch(t, cats).vanish()
	}
	good.waitPicture(b.sent() + 75)
	if err := good.checkSteady(); err != nil {
		t.Error(err)
	}
}

// TestBroadcasterVanishes: the broadcast is interrupted and the viewer waits; the broadcaster comes
// back and it goes on; the broadcaster vanishes for good and it ends.
func TestBroadcasterVanishes(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Grace = 6 * time.Second })
	token := s.token(t, "cats", access.Publish)
	b := s.broadcast(t, cats, token, 25)
	b.waitSent(3)
	v := s.watch(t, cats)
	v.waitPicture(10)
	started := s.stream(t, cats).StartedAt

	b.vanish()
	eventually(t, "interrupted", func() bool { return s.stream(t, cats).Status == "interrupted" })
	before := len(v.pictures())
	again := s.broadcast(t, cats, token, 25)
	eventually(t, "live again", func() bool { return s.stream(t, cats).Status == "live" })
	eventually(t, "pictures go on", func() bool { return len(v.pictures()) > before+20 })
	if s.stream(t, cats).StartedAt != started {
		t.Error("it is another broadcast")
	}

	again.vanish()
	eventually(t, "offline", func() bool { return s.stream(t, cats).Status == "offline" })
	eventually(t, "the viewer's session is gone", func() bool {
		return s.get(t, v.session.Resource(), "").StatusCode == http.StatusNotFound
	})
	if _, err := s.tryWatch(t, cats); !refused(err, http.StatusConflict) {
		t.Errorf("a new viewer gets %v", err)
	}
}

// TestSenderReports: what a viewer is told about the clocks of picture and sound puts both at the same time.
func TestSenderReports(t *testing.T) {
	s := startServer(t)
	b := s.broadcast(t, cats, s.token(t, "cats", access.Publish), 25)
	b.waitSent(3)
	v := s.watch(t, cats)
	eventually(t, "sender reports", func() bool {
		return len(v.reports(webrtc.RTPCodecTypeVideo)) >= 2 && len(v.reports(webrtc.RTPCodecTypeAudio)) >= 2
	})
	at := func(kind webrtc.RTPCodecType, rate float64, f shown) time.Time {
		reports := v.reports(kind)
		r := reports[len(reports)-1]
		return ntpTime(r.NTPTime).Add(time.Duration(float64(int32(f.timestamp-r.RTPTime)) / rate * float64(time.Second)))
	}
	v.waitPicture(b.sent() + 10) // at the live edge
	pictures, sounds := v.pictures(), v.sounds()
	picture, sound := pictures[len(pictures)-1], sounds[len(sounds)-1]
	apart := at(webrtc.RTPCodecTypeAudio, 48000, sound).Sub(at(webrtc.RTPCodecTypeVideo, 90000, picture))
	apart -= time.Duration(sound.number)*soundTime - time.Duration(picture.number)*pictureTime
	t.Logf("lips are %s apart", apart)
	if apart.Abs() > 60*time.Millisecond {
		t.Errorf("lips are %s apart", apart)
	}
	if age := time.Since(at(webrtc.RTPCodecTypeVideo, 90000, picture)); age < 0 || age > time.Minute {
		t.Errorf("the picture is said to be %s old", age)
	}
}

// ntpTime is a time of RFC 3550 section 4.
func ntpTime(n uint64) time.Time {
	const from1900 = 2208988800
	return time.Unix(int64(n>>32)-from1900, int64(n&0xffffffff)*1e9>>32)
}

// TestRestart ends a server while it is live and starts another on the same data.
func TestRestart(t *testing.T) {
	s := startServer(t)
	token := s.token(t, "cats", access.Publish)
	b := s.broadcast(t, cats, token, 25)
	b.waitSent(3)
	eventually(t, "live", func() bool { return s.stream(t, cats).Status == "live" })
	if code := s.call(t, http.MethodPatch, "/api/streams/cats", s.Admin, `{"title":"Two cats"}`); code/100 != 2 {
		t.Fatal(code)
	}
	v := s.watch(t, cats)
	v.waitPicture(5)
	certificate := readFile(t, s.Data, certificateFile)
	s.stop(t)
	v.vanish()
	b.vanish()

	again := startBare(t, func(c *Config) { c.Data = s.Data })
	if got := again.stream(t, cats); got.Title != "Two cats" || got.Status != "offline" || got.Viewers != 0 {
		t.Errorf("after the restart: %+v", got)
	}
	if string(certificate) != string(readFile(t, s.Data, certificateFile)) {
		t.Error("the certificate has changed")
	}
	b = again.broadcast(t, cats, token, 25)
	b.waitSent(10)
	again.watch(t, cats).waitPicture(10)
}

// TestPublisherComesBack after a restart of the server, by itself.
func TestPublisherComesBack(t *testing.T) {
	s := startServer(t)
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		cfg := whip.Config{URL: s.whip(cats), Token: s.token(t, "cats", access.Publish)}
		ended <- publishClip(ctx, cfg, media, true, false, slog.New(slog.DiscardHandler))
	}()
	defer cancel()
	eventually(t, "live", func() bool { return s.stream(t, cats).Status == "live" })
	s.stop(t)

	again := startBare(t, func(c *Config) { c.Data, c.Listen = s.Data, strings.TrimPrefix(s.URL, "http://") })
	eventually(t, "live again", func() bool { return again.stream(t, cats).Status == "live" })
	v := again.watch(t, cats)
	eventually(t, "pictures", func() bool { return len(v.pictures()) > 10 })
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	eventually(t, "offline", func() bool { return again.stream(t, cats).Status == "offline" })
}
