package browser

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/testutil"
	"siaran/web/access"
)

func waitSound(p *chromium.Tab) {
	p.T.Helper()
	energy := fmt.Sprintf(chromium.Inbound, "totalAudioEnergy")
	from := chromium.Eval[float64](p, energy)
	p.Wait("more sound", fmt.Sprintf("%s.then((n) => n > %g)", energy, from))
}

// TestStudioToDashboardToWatch is the whole way: someone goes live, a card appears by itself, someone watches with
// picture and sound, is thrown out and comes back, and when it stops the card goes.
func TestStudioToDashboardToWatch(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	dashboard := b.Open(s.URL + "/")
	dashboard.Wait("the empty state", `!document.getElementById("empty").hidden`)

	studio := b.GoLive(s, "kopi", "Kopi sore")
	if address := chromium.Eval[string](studio, "location.href"); strings.Contains(address, "token") {
		t.Errorf("the token stays in the address bar: %s", address)
	}
	for _, step := range []string{"asked", "allowed", "preview", "peer", "offer", "stored", "signalling", "answer",
		"connected"} {
		studio.Wait("step "+step, `document.querySelector('[data-step="`+step+`"]').dataset.stepState === "done"`)
	}
	studio.Wait("waiting for the first viewer",
		`document.querySelector('[data-step="seen"]').dataset.stepState === "running"`)

	card := `document.querySelector('[data-stream="kopi"]')`
	dashboard.Wait("a card", card)
	dashboard.Wait("its title", card+`.textContent.includes("Kopi sore")`)
	dashboard.Wait("its picture", card+`.dataset.picture === "keyframe"`)

	viewer := b.Open(s.URL + "/")
	viewer.Click(card + `.querySelector("a")`)
	viewer.Wait("the watch page", `location.pathname === "/watch/kopi"`)
	viewer.WaitMedia()
	if !chromium.Eval[bool](viewer, chromium.Player+".video.muted") {
		t.Error("the page plays with sound before anyone has asked for it")
	}
	viewer.TapForSound()
	waitSound(viewer)
	viewer.Wait("the title", `document.getElementById("title").textContent === "Kopi sore"`)

	studio.Wait("the first viewer is seen", `document.querySelector('[data-step="seen"]').dataset.stepState === "done"`)
	studio.Wait("one viewer", `document.querySelector('[data-testid="gauge-viewers"]').textContent === "1"`)
	dashboard.Wait("one viewer", card+`.querySelector(".watching").textContent === "1"`)

	t.Run("thrown out", func(t *testing.T) {
		var list struct {
			Viewers []struct{ ID string }
		}
		s.Do(t, "GET", "/api/streams/kopi/viewers", http.StatusOK, &list)
		if len(list.Viewers) != 1 {
			t.Fatalf("%d viewers, want 1", len(list.Viewers))
		}
		chromium.Eval[bool](viewer, `(window.states = [], `+chromium.Player+
			`.addEventListener("state", (e) => states.push(e.detail)), true)`)
		s.Do(t, "DELETE", "/api/streams/kopi/viewers/"+list.Viewers[0].ID, http.StatusNoContent, nil)
		viewer.Wait("it notices", `states.includes("reconnecting")`)
		viewer.WaitMedia()
	})

	studio.Wait("one viewer again", `document.querySelector('[data-testid="gauge-viewers"]').textContent === "1"`)
	studio.StopWatched()
	dashboard.Wait("the card goes", "!"+card)
	dashboard.Wait("the empty state", `!document.getElementById("empty").hidden`)
	viewer.WaitState("ended")
	for _, p := range []*chromium.Tab{dashboard, studio, viewer} {
		p.CheckConsole()
	}
}

// TestBroadcasterComesBack: its tab crashes, which nobody is told of. Viewers are asked to hold on, the card says so,
// and when the same broadcaster is back everything goes on in the session that the viewer has.
func TestBroadcasterComesBack(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	studio := b.GoLive(s, "kopi", "Kopi sore")
	dashboard := b.Open(s.URL + "/")
	viewer := b.Open(s.URL + "/watch/kopi")
	viewer.WaitMedia()
	chromium.Eval[bool](viewer, `(window.states = [], `+chromium.Player+
		`.addEventListener("state", (e) => states.push(e.detail)), true)`)

	studio.Crash()
	viewer.WaitState("interrupted")
	viewer.Wait("it says so", chromium.Player+`.shadowRoot.getElementById("message").textContent === "Hold on"`)
	viewer.Screenshot("interrupted")
	dashboard.Wait("the card says so", `document.querySelector('[data-stream="kopi"]').dataset.status === "interrupted"`)

	back := b.GoLive(s, "kopi", "Kopi sore")
	viewer.WaitMedia()
	if states := chromium.Eval[[]string](viewer, "states"); strings.Join(states, " ") != "interrupted live" {
		t.Errorf("the viewer went through %q", states)
	}
	dashboard.Wait("the card is live", `document.querySelector('[data-stream="kopi"]').dataset.status === "live"`)
	for _, p := range []*chromium.Tab{back, dashboard, viewer} {
		p.CheckConsole()
	}
}

// TestTabsClose: who closes a tab has left, and need not wait for any time-out to be gone.
func TestTabsClose(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Grace = 10 * time.Minute })
	b := chromium.Start(t)
	dashboard := b.Open(s.URL + "/")
	studio := b.GoLive(s, "kopi", "Kopi sore")
	viewer := b.Open(s.URL + "/watch/kopi")
	viewer.WaitMedia()
	watching := `document.querySelector('[data-stream="kopi"] .watching')?.textContent`
	dashboard.Wait("one viewer", watching+` === "1"`)
	viewer.Close()
	dashboard.Wait("no viewer", watching+` === "0"`)
	studio.Close()
	dashboard.Wait("the card goes", `!document.querySelector("[data-stream]")`)
	dashboard.CheckConsole()
}

// TestWaitingPageStartsByItself: the page is open before the broadcast, and through its end to the next one.
func TestWaitingPageStartsByItself(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	viewer := b.Open(s.URL + "/watch/later")
	viewer.WaitState("waiting")
	stop := s.PublishDemo(t, "later")
	viewer.WaitMedia()
	stop()
	viewer.WaitState("ended")
	s.PublishDemo(t, "later")
	viewer.WaitMedia()
	viewer.CheckConsole()
}

// TestDemoPlays is what the README's first command promises.
func TestDemoPlays(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	b := chromium.Start(t)
	p := b.Open(s.URL + "/")
	p.Wait("the demo's picture", `document.querySelector('[data-stream="demo"]')?.dataset.picture === "keyframe"`)
	p.Click(`document.querySelector('[data-stream="demo"] a')`)
	p.WaitMedia()
	p.TapForSound()
	waitSound(p)
	p.ClickID("stats-toggle")
	p.Wait("statistics", `document.querySelector('[data-testid="stat-resolution"]').textContent === "854 × 480"`)
	p.Navigate(s.URL + "/embed/demo")
	p.WaitMedia()
	p.CheckConsole()
}

// TestPlaysOnWithTheFastCipher watches for a while: no freeze, nothing lost, and AES-128-GCM, which Chromium lists
// last.
func TestPlaysOnWithTheFastCipher(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Demo = true })
	p := chromium.Start(t).Open(s.URL + "/watch/demo")
	p.WaitMedia()
	report := func(kind, field string) string {
		return chromium.Player + `.receiver.reports().then((all) => all.find((r) => r.type === "` + kind + `" && r.` +
			field + ` !== undefined)?.` + field + `)`
	}
	cipher := chromium.Eval[string](p, report("transport", "srtpCipher"))
	if strings.TrimPrefix(cipher, "SRTP_") != "AEAD_AES_128_GCM" { // not all versions have the name of RFC 7714
		t.Errorf("the cipher is %s", cipher)
	}
	frames := fmt.Sprintf(chromium.Inbound, "framesDecoded")
	lost, froze, until := fmt.Sprintf(chromium.Inbound, "packetsLost"), fmt.Sprintf(chromium.Inbound, "freezeCount"),
		chromium.Eval[int](p, frames)+250
	before := chromium.Eval[int](p, froze)
	p.Wait("250 more frames", fmt.Sprintf("%s.then((n) => n > %d)", frames, until))
	if n := chromium.Eval[int](p, lost); n > 0 {
		t.Errorf("%d packets lost on loopback", n)
	}
	t.Logf("%d freezes in 250 frames", chromium.Eval[int](p, froze)-before)
	p.CheckConsole()
}

// TestServerRestarts: open pages say that the server is away, and go on by themselves when it is back.
func TestServerRestarts(t *testing.T) {
	t.Parallel()
	s := harness.Start(t, func(c *server.Config) { c.Demo, c.Listen = true, testutil.FreeAddress(t) })
	b := chromium.Start(t)
	dashboard := b.Open(s.URL + "/")
	dashboard.Wait("the demo", `document.querySelector('[data-stream="demo"]')`)
	viewer := b.Open(s.URL + "/watch/demo")
	viewer.WaitMedia()
	s.Stop(t)
	dashboard.Wait("it says so", `!document.getElementById("lost").hidden`)
	viewer.Wait("it says so", `["reconnecting", "ended"].includes(document.body.dataset.state)`)

	harness.Start(t, func(c *server.Config) {
		c.Demo, c.Data, c.Listen = true, s.Data, strings.TrimPrefix(s.URL, "http://")
	})
	dashboard.Wait("it is back",
		`document.getElementById("lost").hidden && document.querySelector('[data-stream="demo"]')`)
	viewer.WaitMedia()
	for _, p := range []*chromium.Tab{dashboard, viewer} {
		p.CheckConsole()
	}
}

// playerElsewhere is a page that is not ours, with a player on it.
func playerElsewhere(s *harness.Server, t *testing.T, stream string) (url string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>Another site</title><link rel="icon" href="data:,"><body>
			<script type="module" src="%s/static/player.js"></script><siaran-player id="player" stream="%s"></siaran-player>
			<script type="module">
				document.getElementById("player").addEventListener("state", (e) => {
					document.body.dataset.state = e.detail;
				});
			</script>`, s.URL, stream)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// TestPlayerOnAnotherSite: <siaran-player> works from a page that is not ours.
func TestPlayerOnAnotherSite(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	site := playerElsewhere(s, t, "demo")
	s.PublishDemo(t, "demo")
	p := chromium.Start(t).Open(site)
	p.WaitMedia()
	p.CheckConsole()
}

// TestPrivateStream is in no list; the link that the studio gives away opens it, its name alone does not.
func TestPrivateStream(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	dashboard := b.Open(s.URL + "/")
	studio := b.Open(s.URL + "/studio#token=" + s.Admin)
	studio.Fill("name", "rahasia")
	studio.Click(`document.querySelector('[name="visibility"][value="private"]').parentElement`)
	studio.ClickID("go-live")
	studio.WaitState("live")
	link := chromium.Eval[string](studio, `document.getElementById("share").getAttribute("value")`)
	if !strings.HasPrefix(link, s.URL+"/watch/rahasia#token=") {
		t.Fatalf("the link to share is %q", strings.SplitN(link, "#", 2)[0])
	}
	viewer := b.Open(link)
	viewer.WaitMedia()
	if address := chromium.Eval[string](viewer, "location.href"); strings.Contains(address, "token") {
		t.Errorf("the token stays in the address bar: %s", address)
	}
	studio.Wait("the viewer is seen", `document.querySelector('[data-step="seen"]').dataset.stepState === "done"`)
	chromium.Eval[bool](viewer, `(navigator.clipboard.writeText = async (text) => { window.passedOn = text; }, true)`)
	viewer.ClickID("share")
	viewer.Wait("something to pass on", `window.passedOn`)
	if passed := chromium.Eval[string](viewer, "window.passedOn"); passed != link {
		t.Error("what a viewer passes on is not the link that the studio gave away")
	}

	stranger := b.Open(s.URL + "/watch/rahasia")
	stranger.Wait("it waits or says why not", `["error", "waiting"].includes(document.body.dataset.state)`)
	if chromium.Eval[bool](dashboard, `Boolean(document.querySelector("[data-stream]"))`) {
		t.Error("a private stream is on the dashboard")
	}
	viewer.CheckConsole()
	studio.CheckConsole()
}

// TestStudioRefuses: what goes wrong is said in plain words, at the step where it did.
func TestStudioRefuses(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	s.PublishDemo(t, "taken")

	p := b.Open(s.URL + "/studio")
	p.Fill("token", "what is this?")
	p.ClickID("use-token")
	p.Wait("not a token", `document.getElementById("token-error").textContent.includes("not a token")`)
	p.Fill("token", s.URL+"/studio#token="+s.Admin)
	p.ClickID("use-token")
	p.Fill("name", "taken")
	p.ClickID("go-live")
	p.WaitState("error")
	p.Wait("the step", `document.querySelector('[data-step="signalling"]').dataset.stepState === "failed"`)
	p.Wait("the reason", `document.getElementById("trouble").textContent.includes("another key")`)

	p.Fill("name", "mine")
	p.ClickID("go-live")
	p.WaitState("live")
	s.Do(t, "DELETE", "/api/streams/mine/broadcast", http.StatusNoContent, nil)
	p.WaitState("error")
	p.Wait("the reason", `document.getElementById("trouble").textContent.includes("ended or continued elsewhere")`)

	p.ClickID("obs")
	p.ClickID("make-key")
	p.Wait("a key", `document.getElementById("obs-token").getAttribute("value")?.split(".").length === 3`)
	p.CheckConsole()
}

// TestSourcesChange: another quality goes on in the same session; sound alone is another broadcast, and plays as well.
func TestSourcesChange(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	studio := b.GoLive(s, "kopi", "Kopi sore")
	viewer := b.Open(s.URL + "/watch/kopi")
	viewer.WaitMedia()
	chromium.Eval[bool](studio,
		`(document.getElementById("quality").value = "480",
		document.getElementById("quality").dispatchEvent(new Event("change", { bubbles: true })), true)`)
	// Whole, or half of it: on a busy machine a viewer gets a smaller layer.
	viewer.Wait("a smaller picture", "[480, 240].includes("+chromium.Player+".video.videoHeight)")
	viewer.WaitMedia()

	studio.Click(`document.querySelector('[name="source"][value="sound"]').parentElement`)
	viewer.Wait("no picture any more", chromium.Player+".info?.video === null")
	viewer.WaitState("live")
	viewer.TapForSound()
	waitSound(viewer)
	viewer.Screenshot("sound-only")
	studio.WaitState("live")
	viewer.CheckConsole()
	studio.CheckConsole()
}

// TestDescriptions are the edits of SDP that the pages make.
func TestDescriptions(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	p := chromium.Start(t).Open(s.URL + "/studio")
	for _, c := range []struct{ expression, want string }{
		{`m.stereoOpus("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=0\r\na=fmtp:96 x=1\r\n")`,
			"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1;sprop-stereo=1\r\na=fmtp:96 x=1\r\n"},
		{`m.startBitrate("m=audio 9\r\na=rtpmap:111 opus/48000/2\r\nm=video 9\r\na=rtpmap:96 VP8/90000\r\n", 900)`,
			"m=audio 9\r\na=rtpmap:111 opus/48000/2\r\nm=video 9\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 " +
				"x-google-start-bitrate=900\r\n"},
		{`m.startBitrate("m=video 9\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 a=1\r\n", 900)`,
			"m=video 9\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 a=1;x-google-start-bitrate=900\r\n"},
		{`m.fragment("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\n" +
			"a=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n", ["candidate:1"], true)`,
			"a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 UDP/TLS/RTP/SAVPF " +
				"111\r\na=mid:0\r\na=candidate:1\r\na=end-of-candidates\r\n"},
		{`JSON.stringify(m.iceServers('<stun:a:3478>; rel="ice-server", ' +
			'<turn:b:3478?transport=udp>; rel="ice-server"; username="1:u"; credential="c="; ' +
				'credential-type="password", </x>; rel="other"'))`,
			`[{"urls":"stun:a:3478"},{"urls":"turn:b:3478?transport=udp","username":"1:u","credential":"c="}]`},
	} {
		if got := chromium.Eval[string](p, `import("/static/js/sdp.js").then((m) => `+c.expression+`)`); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.expression, got, c.want)
		}
	}
}

// TestPagesLook keeps pictures of all pages, and holds what can be told of their looks without eyes.
func TestPagesLook(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	// A page is closed when it has been looked at: what moves takes a processor from those that come after it.
	empty, gate, missing := b.Open(s.URL+"/"), b.Open(s.URL+"/studio"), b.Open(s.URL+"/watch/BAD")
	empty.Wait("the empty state", `!document.getElementById("empty").hidden`)
	missing.WaitState("missing")
	shoot(empty, "empty", chromium.Viewports...)
	shoot(gate, "studio-gate", chromium.Viewports[0])
	shoot(missing, "missing", chromium.Viewports...)
	for _, p := range []*chromium.Tab{empty, gate, missing} {
		p.Close()
	}

	s.PublishDemo(t, "demo")
	studio := b.GoLive(s, "kopi", "Kopi sore di teras")
	dashboard := b.Open(s.URL + "/")
	dashboard.Wait("two pictures", `document.querySelectorAll('[data-picture="keyframe"]').length === 2`)
	look := func(name string, p *chromium.Tab) {
		t.Helper()
		shoot(p, name, chromium.Viewports...)
		p.ClickID("language")
		p.Wait("Indonesian", `document.documentElement.lang === "id"`)
		p.Wait("no word without a translation",
			`!/\b[a-z]+\.[a-z]+[A-Za-z.]*\b/.test(document.querySelector("main").innerText.replaceAll(location.host, ""))`)
		shoot(p, name+"-id", chromium.Viewports[2])
		p.CheckConsole()
		p.Close()
	}
	look("dashboard", dashboard)
	look("studio", studio)
	watch := b.Open(s.URL + "/watch/demo")
	watch.WaitMedia()
	watch.ClickID("stats-toggle")
	watch.Wait("statistics", `document.querySelector('[data-testid="stat-resolution"]').textContent === "854 × 480"`)
	look("watch", watch)
	waiting := b.Open(s.URL + "/watch/besok")
	waiting.WaitState("waiting")
	look("waiting", waiting)
}

// shoot takes pictures of a page, and checks that nothing sticks out and that everything to press or fill has a name.
func shoot(p *chromium.Tab, name string, viewports ...chromium.Viewport) {
	p.T.Helper()
	for _, l := range viewports {
		shootIn(p, name, l)
	}
	p.SetViewport(chromium.Usual)
}

func shootIn(p *chromium.Tab, name string, l chromium.Viewport) {
	p.T.Helper()
	p.SetViewport(l)
	p.Wait("it fits", "document.documentElement.scrollWidth <= innerWidth")
	nameless := chromium.Eval[[]string](p, `(() => {
		const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
		return all(document).filter((e) => e.matches("button, input, select, textarea, a[href]") && e.checkVisibility())
			.filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim()))
			.map((e) => e.outerHTML.slice(0, 120));
	})()`)
	for _, e := range nameless {
		p.T.Errorf("%s: no name: %s", name, e)
	}
	p.Do("fonts", chromium.Settled())
	p.Screenshot(name + "-" + l.Name)
}

// TestDelete: an administrator deletes a stream in the studio once it is not live, and is asked first.
func TestDelete(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	studio := chromium.Start(t).GoLive(s, "kopi", "Kopi sore")
	hidden := `document.getElementById("delete").hidden`
	if !chromium.Eval[bool](studio, hidden) {
		t.Error("a stream that is live is offered for deletion")
	}
	studio.ClickID("stop")
	studio.WaitState("idle")
	offline := `fetch("/api/streams/kopi").then((r) => r.json()).then((s) => s.status === "offline")`
	studio.Wait("the end is listed", offline)
	studio.Wait("the offer", "!"+hidden)
	studio.ClickID("delete")
	studio.Wait("the question", `document.getElementById("delete-title").textContent === "Delete kopi?"`)
	for _, v := range chromium.Viewports {
		studio.SetViewport(v)
		studio.Screenshot("studio-delete-" + v.Name)
	}
	studio.SetViewport(chromium.Usual)
	studio.ClickID("delete-no")
	studio.Wait("it is still there", offline)
	studio.ClickID("delete")
	studio.ClickID("delete-yes")
	says(studio, "trouble", "kopi has been deleted.")
	studio.Wait("it is gone", `fetch("/api/streams/kopi").then((r) => r.status === 404)`)
	studio.Wait("the offer, too", hidden)
	studio.CheckConsole()
}

// TestEncoderHealth: the studio shows what is wrong with a broadcast that comes from another program, to whoever may
// broadcast under the name, and to nobody else.
func TestEncoderHealth(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	broadcast := publishParts(s, t, "kopi", false, true)
	studio := b.Open(s.URL + "/studio#token=" + s.Token(t, "kopi", access.Publish))
	studio.Wait("the broadcast", `!document.getElementById("encoder").hidden`)
	says(studio, "encoder-health", "No picture arrives from you at the server, only sound.")
	shoot(studio, "studio-encoder", chromium.Viewports...)
	broadcast.picture.Store(true)
	studio.Wait("all is well", `document.getElementById("encoder-health").textContent === ""`)

	admin := b.Open(s.URL + "/studio#token=" + s.Admin)
	hidden := `document.getElementById("encoder").hidden`
	if !chromium.Eval[bool](admin, hidden) {
		t.Error("a broadcast is shown before a name is chosen")
	}
	admin.Fill("name", "kopi")
	admin.ClickID("title")
	admin.Wait("the broadcast", "!"+hidden)
	admin.Fill("name", "teh")
	admin.Wait("another name", hidden)
	studio.CheckConsole()
	admin.CheckConsole()
}
