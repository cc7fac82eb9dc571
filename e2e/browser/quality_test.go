package browser

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtp"
	"github.com/pion/rtp/codecs"
	"github.com/pion/webrtc/v3"
	pionmedia "github.com/pion/webrtc/v3/pkg/media"

	"siaran"
	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/axe"
	"siaran/internal/clip"
	"siaran/web/access"
)

// The layers in testdata are ffmpeg's testsrc at 25 frames a second: -c:v libvpx -g 25 -keyint_min 25 -b:v 60k.
var layerHeights = []int{360, 180, 90}

// Header extensions that say which layer a packet is of (RFC 8852, RFC 9143).
const (
	uriMid = "urn:ietf:params:rtp-hdrext:sdes:mid"
	uriRID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
)

var silence = []byte{0xf8, 0xff, 0xfe} // in Opus, 20 ms

// publishLayers broadcasts three layers of a picture, with or without silence, with pion until the test ends.
func publishLayers(s *harness.Server, t *testing.T, stream siaran.StreamName, audio bool) {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	media := &webrtc.MediaEngine{}
	vp8 := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8, ClockRate: 90000}
	must(media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: vp8, PayloadType: 96},
		webrtc.RTPCodecTypeVideo))
	opus := webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeOpus, ClockRate: 48000, Channels: 2}
	must(media.RegisterCodec(webrtc.RTPCodecParameters{RTPCodecCapability: opus, PayloadType: 111},
		webrtc.RTPCodecTypeAudio))
	for _, uri := range []string{uriMid, uriRID} {
		must(media.RegisterHeaderExtension(webrtc.RTPHeaderExtensionCapability{URI: uri}, webrtc.RTPCodecTypeVideo))
	}
	var setting webrtc.SettingEngine
	setting.SetIncludeLoopbackCandidate(true)
	api := webrtc.NewAPI(webrtc.WithMediaEngine(media), webrtc.WithSettingEngine(setting))
	pc, err := api.NewPeerConnection(webrtc.Configuration{})
	must(err)
	var tracks []*webrtc.TrackLocalStaticRTP
	var sender *webrtc.RTPSender
	for i := range layerHeights {
		track, err := webrtc.NewTrackLocalStaticRTP(vp8, "video", "layers", webrtc.WithRTPStreamID(fmt.Sprint(i)))
		must(err)
		tracks = append(tracks, track)
		if sender == nil {
			sender, err = pc.AddTrack(track)
			must(err)
			continue
		}
		must(sender.AddEncoding(track))
	}
	sound, err := webrtc.NewTrackLocalStaticSample(opus, "audio", "layers")
	must(err)
	if audio {
		_, err = pc.AddTrack(sound)
		must(err)
	}
	offer, err := pc.CreateOffer(nil)
	must(err)
	gathered := webrtc.GatheringCompletePromise(pc)
	must(pc.SetLocalDescription(offer))
	<-gathered
	token := s.Token(t, string(stream), access.Publish)
	r := s.Request(t, http.MethodPost, s.WHIP(stream), token, "application/sdp", pc.LocalDescription().SDP)
	if r.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", r.StatusCode, r.Body)
	}
	must(pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: r.Body}))
	ids := map[string]uint8{}
	for _, e := range sender.GetParameters().HeaderExtensions {
		ids[e.URI] = uint8(e.ID)
	}
	mid := pc.GetTransceivers()[0].Mid()
	ctx, cancel := context.WithCancel(context.Background())
	var sending sync.WaitGroup
	sending.Go(func() {
		for {
			if _, _, err := sender.ReadRTCP(); err != nil {
				return
			}
		}
	})
	sending.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			<-tick.C
			_ = sound.WriteSample(pionmedia.Sample{Data: silence, Duration: 20 * time.Millisecond})
		}
	})
	for i, track := range tracks {
		pictures, err := clip.Open(fmt.Sprintf("testdata/layer-%d.ivf", layerHeights[i]))
		must(err)
		packets := rtp.NewPacketizer(1200, 96, 0, &codecs.VP8Payloader{}, rtp.NewRandomSequencer(), 90000)
		sending.Go(func() {
			_ = pictures.Play(ctx, true, func(_ int, f clip.Frame) error {
				for _, p := range packets.Packetize(f.Data, 3600) {
					p.Header.SetExtension(ids[uriMid], []byte(mid))
					p.Header.SetExtension(ids[uriRID], []byte(track.RID()))
					if err := track.WriteRTP(p); err != nil && err != io.ErrClosedPipe {
						return err
					}
				}
				return nil
			})
		})
	}
	t.Cleanup(func() {
		cancel()
		if err := pc.Close(); err != nil {
			t.Error(err)
		}
		sending.Wait()
	})
}

const (
	menu       = shadow + `.getElementById("quality")`
	menuTexts  = `[...` + menu + `.options].map(({ text }) => text).join("|")`
	menuChosen = menu + `.selectedOptions[0]?.text`
)

// choose takes one of the qualities, as a person does.
func choose(p *chromium.Tab, value string) {
	p.T.Helper()
	chromium.Eval[bool](p, `((menu) => {
		menu.value = "`+value+`";
		return menu.dispatchEvent(new Event("change"));
	})(`+menu+`)`)
}

func waitHeight(p *chromium.Tab, height int) {
	p.T.Helper()
	p.Wait(fmt.Sprint("a picture of ", height), fmt.Sprintf("%s.video.videoHeight === %d", chromium.Player, height))
}

// TestQualityMenu watches a broadcast of three layers and chooses among them.
func TestQualityMenu(t *testing.T) {
	t.Parallel()
	script := axe.Script(t)
	s := harness.Start(t)
	publishLayers(s, t, "layers", true)
	s.PublishDemo(t, "demo")
	b := chromium.Start(t)
	plain := b.Open(s.URL + "/watch/demo")
	plain.WaitMedia()
	p := b.Open(s.URL + "/watch/layers")
	p.Wait("it plays", chromium.Player+`.state === "live"`)
	p.Wait("there is a choice", `!`+menu+`.hidden`)
	waitHeight(p, 360)
	p.Wait("what it chooses from", menuTexts+` === "Auto (360p)|360p|180p|90p|Sound only"`)
	p.ClickID("stats-toggle")
	p.Wait("the layer in the statistics", `document.querySelector('[data-testid="stat-layer"]').textContent === "360p"`)
	shoot(p, "quality", chromium.Viewports...)

	choose(p, "90")
	waitHeight(p, 90)
	p.Wait("it says what is chosen", menuChosen+` === "90p" && `+menu+`.options[0].text === "Auto"`)
	choose(p, "sound")
	p.Wait("it says that there is no picture", message+` === "Sound only"`)
	p.Wait("nothing is amiss", note+` === ""`)
	shoot(p, "quality-sound", chromium.Viewports[3])
	choose(p, "180")
	waitHeight(p, 180)
	p.Wait("the picture is back", message+` === ""`)

	p.Navigate(s.URL + "/embed/layers")
	waitHeight(p, 180)
	p.Wait("it has been remembered", menuChosen+` === "180p"`)
	chromium.Eval[bool](p, `import("/static/js/i18n.js").then(({ setLanguage }) => (setLanguage("id"), true))`)
	choose(p, "auto")
	waitHeight(p, 360)
	p.Wait("it says so in Indonesian", menuChosen+` === "Otomatis (360p)"`)
	if hidden := chromium.Eval[bool](plain, menu+`.hidden`); !hidden {
		t.Error("there is a menu where there is nothing to choose")
	}
	if keys := chromium.Eval[string](p, `localStorage.getItem("siaran-quality")`); keys != "auto" {
		t.Errorf("kept is %q", keys)
	}
	for _, tab := range []*chromium.Tab{p, plain} {
		tab.CheckConsole()
	}
	chromium.Eval[bool](p, `(`+menu+`.focus(), true)`) // the bar shows
	checkAxe(p, "quality", script, chromium.Viewports[3])
	p.Screenshot("quality-embed")
}

// TestPictureWithoutSound watches a broadcast that has no sound.
func TestPictureWithoutSound(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	publishLayers(s, t, "mute", false)
	p := chromium.Start(t).Open(s.URL + "/watch/mute")
	waitHeight(p, 360)
	p.CheckConsole()
}

// TestPlayersStayForTheNextBroadcast stops a broadcast and starts it again: the page says that it has ended, and goes
// on by itself in the same session.
func TestPlayersStayForTheNextBroadcast(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.KeepViewers = time.Hour })
	b := chromium.Start(t)
	studio := b.GoLive(s, "kopi", "Kopi sore")
	p := b.Open(s.URL + "/watch/kopi")
	p.WaitMedia()
	chromium.Eval[bool](p, `(window.states = [], `+chromium.Player+
		`.addEventListener("state", (e) => states.push(e.detail)), true)`)
	sessions := `performance.getEntriesByType("resource").filter(({ name }) => name.endsWith("/whep/kopi")).length`
	before := chromium.Eval[int](p, sessions)
	studio.StopWatched()
	p.WaitState("ended")
	p.Wait("it says that it may come back", shadow+`.querySelector(".detail").textContent.includes("starts again")`)
	shoot(p, "ended-kept", chromium.Viewports[0])
	studio.ClickID("go-live")
	studio.WaitState("live")
	p.WaitMedia()
	for _, state := range chromium.Eval[[]string](p, "states") {
		if state == "connecting" || state == "reconnecting" || state == "error" {
			t.Errorf("the viewer went through %s", state)
		}
	}
	if after := chromium.Eval[int](p, sessions); after != before {
		t.Errorf("%d sessions, and %d before the end", after, before)
	}
	p.CheckConsole()
}
