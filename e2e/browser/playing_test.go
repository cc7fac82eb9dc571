package browser

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/chromedp/chromedp"

	"siaran"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/clip"
	"siaran/internal/demo"
	"siaran/internal/whip"
	"siaran/web/access"
)

const (
	shadow    = chromium.Player + `.shadowRoot`
	playShown = `!` + shadow + `.getElementById("play").hidden`
	barBadge  = shadow + `.querySelector(".bar .live").textContent`
	note      = shadow + `.getElementById("note").textContent`
	message   = shadow + `.getElementById("message").textContent`
)

// parts broadcasts the demo clip, of which sound and picture are negotiated and each is sent only while it is wanted.
type parts struct{ picture, sound atomic.Bool }

func publishParts(s *harness.Server, t *testing.T, stream siaran.StreamName, picture, sound bool) *parts {
	t.Helper()
	media, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	cfg := whip.Config{URL: s.WHIP(stream), Token: s.Token(t, string(stream), access.Publish)}
	wanted := make([]*atomic.Bool, len(media.Tracks()))
	p := &parts{}
	p.picture.Store(picture)
	p.sound.Store(sound)
	for i, track := range media.Tracks() {
		cfg.Tracks = append(cfg.Tracks, track.Codec)
		wanted[i] = &p.sound
		if strings.HasPrefix(track.Codec.MimeType, "video/") {
			wanted[i] = &p.picture
		}
	}
	session, err := whip.Dial(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		media.Play(ctx, true, func(track int, f clip.Frame) error {
			if !wanted[track].Load() {
				return nil
			}
			return session.Write(track, f.Data, f.At)
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := session.Close(context.Background()); err != nil {
			t.Logf("the broadcaster leaves: %v", err)
		}
	})
	return p
}

// waitPaused waits until a page says that it is paused, everywhere, and offers to play.
func waitPaused(p *chromium.Tab) {
	p.T.Helper()
	p.Wait("it is paused", chromium.Player+`.state === "paused" && `+chromium.Player+`.video.paused`)
	p.Wait("it offers to play", playShown)
	p.Wait("its badge says so", barBadge+` === "Paused"`)
	p.Wait("the page's badge says so", `(document.getElementById("badge")?.textContent ?? "Paused") === "Paused"`)
}

// checkEdge fails the test when what is played is older than what a buffer for jitter needs.
func checkEdge(p *chromium.Tab) {
	p.T.Helper()
	const buffers = chromium.Player + `.receiver.reports().then((all) => all.filter((r) => r.type === "inbound-rtp")
		.map((r) => [r.jitterBufferDelay, r.jitterBufferEmittedCount]))`
	before := chromium.Eval[[][2]float64](p, buffers)
	p.WaitMedia()
	for i, now := range chromium.Eval[[][2]float64](p, buffers) {
		if delay := (now[0] - before[i][0]) / max(1, now[1]-before[i][1]); delay > 1 {
			p.T.Errorf("%.1f s are buffered", delay)
		}
	}
}

// TestPauseMeansPause on each surface: a pause that comes from outside, as of a phone call, and those of media keys are
// shown at once, last, and end at the live edge.
func TestPauseMeansPause(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.PublishDemo(t, "demo")
	b := chromium.Start(t)
	for name, url := range map[string]string{
		"watch": s.URL + "/watch/demo", "embed": s.URL + "/embed/demo", "element": playerElsewhere(s, t, "demo"),
	} {
		t.Run(name, func(t *testing.T) {
			p := b.Open(url)
			p.T = t
			p.WaitMedia()
			chromium.Eval[bool](p,
				`(window.keys = {}, navigator.mediaSession.setActionHandler = (name, f) => { keys[name] = f; },
				`+chromium.Player+`.video.pause(), true)`)
			waitPaused(p)
			p.Screenshot("paused-" + name)
			if name == "watch" {
				p.Wait("its title says nothing of live", `!document.title.startsWith("●")`)
			}
			p.Click(shadow + `.getElementById("play")`)
			checkEdge(p)
			p.Wait("its badge says so", barBadge+` === "Live"`)

			p.TapForSound()
			p.Wait("the media keys are its own", `keys.pause && keys.play`)
			p.Wait("they are told", `navigator.mediaSession.playbackState === "playing"`)
			p.Wait("they are told of what", `navigator.mediaSession.metadata.title === "demo"`)
			chromium.Eval[bool](p, `(keys.pause({ action: "pause" }), true)`)
			waitPaused(p)
			p.Wait("they are told", `navigator.mediaSession.playbackState === "paused"`)
			chromium.Eval[bool](p, `(keys.play({ action: "play" }), true)`)
			checkEdge(p)
			waitSound(p)

			chromium.Eval[bool](p, `(`+chromium.Player+`.video.pause(), true)`)
			waitPaused(p)
			chromium.Eval[bool](p,
				chromium.Player+`.video.play().then(() => true)`) // as picture-in-picture does without media keys
			checkEdge(p)
			p.CheckConsole()
		})
	}
}

// hide has a page believe that it is out of sight, or in sight again.
func hide(p *chromium.Tab, hidden bool) {
	p.T.Helper()
	chromium.Eval[bool](p, fmt.Sprintf(`(Object.defineProperty(document, "hidden", { value: %v, configurable: true }),
		document.dispatchEvent(new Event("visibilitychange")), true)`, hidden))
}

// TestWhatTheBrowserPausedComesBack: with the tab, unless the viewer has paused.
func TestWhatTheBrowserPausedComesBack(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	s.PublishDemo(t, "demo")
	p := chromium.Start(t).Open(s.URL + "/watch/demo")
	pause := `(` + chromium.Player + `.video.pause(), true)`
	for _, order := range []string{"hidden first", "paused first"} {
		p.WaitMedia()
		if order == "hidden first" {
			hide(p, true)
			chromium.Eval[bool](p, pause)
		} else {
			// The pause of a call that covers the page comes a moment before.
			chromium.Eval[bool](p, `(`+chromium.Player+`.video.addEventListener("pause", () => setTimeout(() => {
				Object.defineProperty(document, "hidden", { value: true, configurable: true });
				document.dispatchEvent(new Event("visibilitychange"));
			}), { once: true }), `+chromium.Player+`.video.pause(), true)`)
			p.Wait("it is hidden", "document.hidden")
		}
		waitPaused(p)
		hide(p, false)
		p.WaitMedia()
	}
	p.Click(shadow + `.getElementById("pause")`)
	waitPaused(p)
	hide(p, true)
	hide(p, false)
	if chromium.Eval[string](p, chromium.Player+".state") != "paused" {
		t.Error("what the viewer has paused plays")
	}
	p.Do("K", chromedp.KeyEvent("k"))
	p.WaitMedia()
	p.CheckConsole()
}

// TestLongPauseEndsTheSession: nobody pays for what nobody sees. It plays again in a new session, and what has ended
// meanwhile is said to have.
func TestLongPauseEndsTheSession(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	stop := s.PublishDemo(t, "demo")
	p := chromium.Start(t).Open(s.URL + "/watch/demo")
	p.WaitMedia()
	watching := func(n int) {
		t.Helper()
		harness.Eventually(t, fmt.Sprintf("%d watch", n), func() bool {
			var list struct{ Viewers []struct{ ID string } }
			s.Do(t, "GET", "/api/streams/demo/viewers", 200, &list)
			return len(list.Viewers) == n
		})
	}
	watching(1)
	// Long times pass fifty times as fast.
	chromium.Eval[bool](p, `(window.later = setTimeout, window.setTimeout = (f, ms, ...rest) =>
			later(f, ms >= 20000 ? ms / 50 : ms, ...rest),
		`+chromium.Player+`.video.pause(), true)`)
	waitPaused(p)
	watching(0)
	waitPaused(p)
	p.Screenshot("paused-long")
	p.Click(shadow + `.getElementById("play")`)
	p.WaitMedia()
	watching(1)
	p.Click(shadow + `.getElementById("pause")`)
	waitPaused(p)
	watching(0)
	stop()
	p.WaitState("ended")
	s.PublishDemo(t, "demo")
	waitPaused(p) // for the viewer has paused it
	p.Click(shadow + `.getElementById("play")`)
	p.WaitMedia()
	p.CheckConsole()
}

// TestWhatComesIsPlayed: sound without a picture, a picture without sound, and what is missing is said, and comes back
// by itself.
func TestWhatComesIsPlayed(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	sound, picture := publishParts(s, t, "sound", false, true), publishParts(s, t, "picture", true, false)
	listener, viewer := b.Open(s.URL+"/watch/sound"), b.Open(s.URL+"/watch/picture")

	listener.Wait("it is live", chromium.Player+`.state === "live"`)
	listener.Wait("it says what is missing", message+` === "No picture yet"`)
	listener.TapForSound()
	waitSound(listener)
	listener.Wait("the element plays", `!`+chromium.Player+`.video.paused && `+chromium.Player+`.video.readyState >= 3`)
	shoot(listener, "no-picture", chromium.Viewports[0], chromium.Viewports[2])
	chromium.Eval[bool](listener, `(window.states = [], `+chromium.Player+
		`.addEventListener("state", (e) => states.push(e.detail)), true)`)
	sound.picture.Store(true)
	listener.WaitMedia()
	listener.Wait("nothing is missing", message+` === "" && `+note+` === ""`)
	sound.picture.Store(false)
	listener.Wait("the picture stands, and it says so", note+` === "No new picture is coming at the moment."`)
	waitSound(listener)
	shoot(listener, "picture-stopped", chromium.Viewports[2])
	sound.picture.Store(true)
	listener.Wait("nothing is missing", note+` === ""`)
	listener.WaitMedia()

	viewer.WaitMedia()
	viewer.Wait("it says what is missing", note+` === "No sound is being sent yet."`)
	viewer.Wait("nobody is asked to tap for sound", chromium.Unmute+`.hidden`)
	shoot(viewer, "no-sound", chromium.Viewports[2])
	picture.sound.Store(true)
	viewer.Wait("nothing is missing", note+` === ""`)
	viewer.TapForSound()
	waitSound(viewer)
	picture.sound.Store(false)
	viewer.Wait("it says what is missing", note+` === "No sound is coming at the moment."`)
	viewer.WaitMedia()
	picture.sound.Store(true)
	waitSound(viewer)
	if states := chromium.Eval[[]string](listener, "states"); len(states) > 0 {
		t.Errorf("the listener went through %q", states)
	}
	listener.CheckConsole()
	viewer.CheckConsole()
}
