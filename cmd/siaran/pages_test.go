package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/cmd/siaran/internal/demo"
	"siaran/cmd/siaran/internal/whip"
	"siaran/web/access"
)

const (
	player      = `document.getElementById("player")`
	unmute      = player + `.shadowRoot.getElementById("unmute")`
	framesShown = player + `.video.getVideoPlaybackQuality().totalVideoFrames`
	// inbound sums a counter over what a player receives.
	inbound = player + `.receiver.reports().then((all) => all.filter((r) => r.type === "inbound-rtp").reduce((sum, r) => sum + (r.%s ?? 0), 0))`
)

// goLive turns the studio's made-up camera on and broadcasts.
func (b *browser) goLive(s *testServer, stream, title string) *tab {
	b.t.Helper()
	p := b.open(s.URL + "/studio#token=" + s.Admin)
	p.fill("title", title)
	p.fill("name", stream)
	p.clickID("go-live")
	p.waitState("live")
	return p
}

// publishDemo broadcasts the demo clip without a browser until the test ends or the returned function is called.
func (s *testServer) publishDemo(t *testing.T, stream siaran.StreamName) (stop func()) {
	t.Helper()
	clip, err := demo.Clip()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	cfg := whip.Config{URL: s.whip(stream), Token: s.token(t, string(stream), access.Publish)}
	go func() {
		defer close(done)
		if err := publishClip(ctx, cfg, clip, true, false, slog.New(slog.DiscardHandler)); err != nil && ctx.Err() == nil {
			t.Errorf("publish: %v", err)
		}
	}()
	stop = func() {
		cancel()
		<-done
	}
	t.Cleanup(stop)
	return stop
}

// waitMedia waits until a player is live, then for more pictures on the screen and more sound decoded.
func (p *tab) waitMedia() {
	p.t.Helper()
	p.wait("a player that is live", player+`?.receiver?.state === "live"`)
	decoded := fmt.Sprintf(inbound, "framesDecoded")
	from, shown := eval[int](p, decoded), eval[int](p, framesShown)
	p.wait("more frames decoded", fmt.Sprintf("%s.then((n) => n > %d)", decoded, from+10))
	p.wait("more frames shown", fmt.Sprintf("%s > %d", framesShown, shown+5))
}

func (p *tab) waitSound() {
	p.t.Helper()
	energy := fmt.Sprintf(inbound, "totalAudioEnergy")
	from := eval[float64](p, energy)
	p.wait("more sound", fmt.Sprintf("%s.then((n) => n > %g)", energy, from))
}

// do sends a request with the admin's token and wants the given status.
func (s *testServer) do(t *testing.T, method, path string, want int, into any) {
	t.Helper()
	req, err := http.NewRequest(method, s.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+s.Admin)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != want {
		t.Fatalf("%s %s: %s, want %d", method, path, res.Status, want)
	}
	if into != nil {
		if err := json.NewDecoder(res.Body).Decode(into); err != nil {
			t.Fatal(err)
		}
	}
}

// TestStudioToDashboardToWatch is the whole way: someone goes live, a card appears by itself, someone watches with
// picture and sound, is thrown out and comes back, and when it stops the card goes.
func TestStudioToDashboardToWatch(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	dashboard := b.open(s.URL + "/")
	dashboard.wait("the empty state", `!document.getElementById("empty").hidden`)

	studio := b.goLive(s, "kopi", "Kopi sore")
	if address := eval[string](studio, "location.href"); strings.Contains(address, "token") {
		t.Errorf("the token stays in the address bar: %s", address)
	}
	for _, step := range []string{"asked", "allowed", "preview", "peer", "offer", "stored", "signalling", "answer", "connected"} {
		studio.wait("step "+step, `document.querySelector('[data-step="`+step+`"]').dataset.stepState === "done"`)
	}
	studio.wait("waiting for the first viewer", `document.querySelector('[data-step="seen"]').dataset.stepState === "running"`)

	card := `document.querySelector('[data-stream="kopi"]')`
	dashboard.wait("a card", card)
	dashboard.wait("its title", card+`.textContent.includes("Kopi sore")`)
	dashboard.wait("its picture", card+`.dataset.picture === "keyframe"`)

	viewer := b.open(s.URL + "/")
	viewer.click(card + `.querySelector("a")`)
	viewer.wait("the watch page", `location.pathname === "/watch/kopi"`)
	viewer.waitMedia()
	if !eval[bool](viewer, player+".video.muted") {
		t.Error("the page plays with sound before anyone has asked for it")
	}
	viewer.click(unmute)
	viewer.wait("sound is on", "!"+player+".video.muted && !"+player+".video.paused")
	viewer.waitSound()
	viewer.wait("the title", `document.getElementById("title").textContent === "Kopi sore"`)

	studio.wait("the first viewer is seen", `document.querySelector('[data-step="seen"]').dataset.stepState === "done"`)
	studio.wait("one viewer", `document.querySelector('[data-testid="gauge-viewers"]').textContent === "1"`)
	dashboard.wait("one viewer", card+`.querySelector(".watching").textContent === "1"`)

	t.Run("thrown out", func(t *testing.T) {
		var list struct {
			Viewers []struct{ ID string }
		}
		s.do(t, "GET", "/api/streams/kopi/viewers", http.StatusOK, &list)
		if len(list.Viewers) != 1 {
			t.Fatalf("%d viewers, want 1", len(list.Viewers))
		}
		eval[bool](viewer, `(window.states = [], `+player+`.addEventListener("state", (e) => states.push(e.detail)), true)`)
		s.do(t, "DELETE", "/api/streams/kopi/viewers/"+list.Viewers[0].ID, http.StatusNoContent, nil)
		viewer.wait("it notices", `states.includes("reconnecting")`)
		viewer.waitMedia()
	})

	studio.wait("one viewer again", `document.querySelector('[data-testid="gauge-viewers"]').textContent === "1"`)
	studio.clickID("stop")
	studio.wait("it asks again, with someone watching", `document.getElementById("stop").textContent === "Really stop?"`)
	studio.clickID("stop")
	studio.waitState("idle")
	dashboard.wait("the card goes", "!"+card)
	dashboard.wait("the empty state", `!document.getElementById("empty").hidden`)
	viewer.waitState("ended")
	for _, p := range []*tab{dashboard, studio, viewer} {
		p.checkQuiet()
	}
}

// TestBroadcasterComesBack: its tab crashes, which nobody is told of. Viewers are asked to hold on, the card says so, and
// when the same broadcaster is back everything goes on in the session that the viewer has.
func TestBroadcasterComesBack(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	studio := b.goLive(s, "kopi", "Kopi sore")
	dashboard := b.open(s.URL + "/")
	viewer := b.open(s.URL + "/watch/kopi")
	viewer.waitMedia()
	eval[bool](viewer, `(window.states = [], `+player+`.addEventListener("state", (e) => states.push(e.detail)), true)`)

	studio.crash()
	viewer.waitState("interrupted")
	viewer.wait("it says so", player+`.shadowRoot.getElementById("message").textContent === "Hold on"`)
	viewer.shot("interrupted")
	dashboard.wait("the card says so", `document.querySelector('[data-stream="kopi"]').dataset.status === "interrupted"`)

	back := b.goLive(s, "kopi", "Kopi sore")
	viewer.waitMedia()
	if states := eval[[]string](viewer, "states"); strings.Join(states, " ") != "interrupted live" {
		t.Errorf("the viewer went through %q", states)
	}
	dashboard.wait("the card is live", `document.querySelector('[data-stream="kopi"]').dataset.status === "live"`)
	for _, p := range []*tab{back, dashboard, viewer} {
		p.checkQuiet()
	}
}

// TestTabsClose: who closes a tab has left, and need not wait for any time-out to be gone.
func TestTabsClose(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Grace = 10 * time.Minute })
	b := startBrowser(t)
	dashboard := b.open(s.URL + "/")
	studio := b.goLive(s, "kopi", "Kopi sore")
	viewer := b.open(s.URL + "/watch/kopi")
	viewer.waitMedia()
	watching := `document.querySelector('[data-stream="kopi"] .watching')?.textContent`
	dashboard.wait("one viewer", watching+` === "1"`)
	viewer.close()
	dashboard.wait("no viewer", watching+` === "0"`)
	studio.close()
	dashboard.wait("the card goes", `!document.querySelector("[data-stream]")`)
	dashboard.checkQuiet()
}

// TestWaitingPageStartsByItself: the page is open before the broadcast, and through its end to the next one.
func TestWaitingPageStartsByItself(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	viewer := b.open(s.URL + "/watch/later")
	viewer.waitState("waiting")
	stop := s.publishDemo(t, "later")
	viewer.waitMedia()
	stop()
	viewer.waitState("ended")
	s.publishDemo(t, "later")
	viewer.waitMedia()
	viewer.checkQuiet()
}

// TestDemoPlays is what the README's first command promises.
func TestDemoPlays(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Demo = true })
	b := startBrowser(t)
	p := b.open(s.URL + "/")
	p.wait("the demo's picture", `document.querySelector('[data-stream="demo"]')?.dataset.picture === "keyframe"`)
	p.click(`document.querySelector('[data-stream="demo"] a')`)
	p.waitMedia()
	p.click(unmute)
	p.waitSound()
	p.clickID("stats-toggle")
	p.wait("statistics", `document.querySelector('[data-testid="stat-resolution"]').textContent === "854 × 480"`)
	p.visit(s.URL + "/embed/demo")
	p.waitMedia()
	p.checkQuiet()
}

// TestPlaysOnWithTheFastCipher watches for a while: no freeze, nothing lost, and AES-128-GCM, which Chromium lists last.
func TestPlaysOnWithTheFastCipher(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Demo = true })
	p := startBrowser(t).open(s.URL + "/watch/demo")
	p.waitMedia()
	report := func(kind, field string) string {
		return player + `.receiver.reports().then((all) => all.find((r) => r.type === "` + kind + `" && r.` + field + ` !== undefined)?.` + field + `)`
	}
	if cipher := eval[string](p, report("transport", "srtpCipher")); cipher != "SRTP_AEAD_AES_128_GCM" {
		t.Errorf("the cipher is %s", cipher)
	}
	frames := fmt.Sprintf(inbound, "framesDecoded")
	lost, froze, until := fmt.Sprintf(inbound, "packetsLost"), fmt.Sprintf(inbound, "freezeCount"), eval[int](p, frames)+500
	before := eval[int](p, froze)
	p.wait("500 more frames", fmt.Sprintf("%s.then((n) => n > %d)", frames, until))
	if n := eval[int](p, lost); n > 0 {
		t.Errorf("%d packets lost on loopback", n)
	}
	t.Logf("%d freezes in 500 frames", eval[int](p, froze)-before)
	p.checkQuiet()
}

// TestServerRestarts: open pages say that the server is away, and go on by themselves when it is back.
func TestServerRestarts(t *testing.T) {
	s := startServer(t, func(c *Config) { c.Demo = true })
	b := startBrowser(t)
	dashboard := b.open(s.URL + "/")
	dashboard.wait("the demo", `document.querySelector('[data-stream="demo"]')`)
	viewer := b.open(s.URL + "/watch/demo")
	viewer.waitMedia()
	s.stop(t)
	dashboard.wait("it says so", `!document.getElementById("lost").hidden`)
	viewer.wait("it says so", `["reconnecting", "ended"].includes(document.body.dataset.state)`)

	startBare(t, func(c *Config) {
		c.Demo, c.Data, c.Listen = true, s.Data, strings.TrimPrefix(s.URL, "http://")
	})
	dashboard.wait("it is back", `document.getElementById("lost").hidden && document.querySelector('[data-stream="demo"]')`)
	viewer.waitMedia()
	for _, p := range []*tab{dashboard, viewer} {
		p.checkQuiet()
	}
}

// playerElsewhere is a page that is not ours, with a player on it.
func (s *testServer) playerElsewhere(t *testing.T, stream string) (url string) {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprintf(w, `<!doctype html><title>Another site</title><link rel="icon" href="data:,"><body>
			<script type="module" src="%s/static/player.js"></script><siaran-player id="player" stream="%s"></siaran-player>
			<script type="module">document.getElementById("player").addEventListener("state", (e) => { document.body.dataset.state = e.detail; });</script>`, s.URL, stream)
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// TestPlayerOnAnotherSite: <siaran-player> works from a page that is not ours.
func TestPlayerOnAnotherSite(t *testing.T) {
	s := startServer(t)
	site := s.playerElsewhere(t, "demo")
	s.publishDemo(t, "demo")
	p := startBrowser(t).open(site)
	p.waitMedia()
	p.checkQuiet()
}

// TestPrivateStream is in no list; the link that the studio gives away opens it, its name alone does not.
func TestPrivateStream(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	dashboard := b.open(s.URL + "/")
	studio := b.open(s.URL + "/studio#token=" + s.Admin)
	studio.fill("name", "rahasia")
	studio.click(`document.querySelector('[name="visibility"][value="private"]').parentElement`)
	studio.clickID("go-live")
	studio.waitState("live")
	link := eval[string](studio, `document.getElementById("share").getAttribute("value")`)
	if !strings.HasPrefix(link, s.URL+"/watch/rahasia#token=") {
		t.Fatalf("the link to share is %q", strings.SplitN(link, "#", 2)[0])
	}
	viewer := b.open(link)
	viewer.waitMedia()
	if address := eval[string](viewer, "location.href"); strings.Contains(address, "token") {
		t.Errorf("the token stays in the address bar: %s", address)
	}
	studio.wait("the viewer is seen", `document.querySelector('[data-step="seen"]').dataset.stepState === "done"`)
	eval[bool](viewer, `(navigator.clipboard.writeText = async (text) => { window.passedOn = text; }, true)`)
	viewer.clickID("share")
	viewer.wait("something to pass on", `window.passedOn`)
	if passed := eval[string](viewer, "window.passedOn"); passed != link {
		t.Error("what a viewer passes on is not the link that the studio gave away")
	}

	stranger := b.open(s.URL + "/watch/rahasia")
	stranger.wait("it waits or says why not", `["error", "waiting"].includes(document.body.dataset.state)`)
	if eval[bool](dashboard, `Boolean(document.querySelector("[data-stream]"))`) {
		t.Error("a private stream is on the dashboard")
	}
	viewer.checkQuiet()
	studio.checkQuiet()
}

// TestStudioRefuses: what goes wrong is said in plain words, at the step where it did.
func TestStudioRefuses(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	s.publishDemo(t, "taken")

	p := b.open(s.URL + "/studio")
	p.fill("token", "what is this?")
	p.clickID("use-token")
	p.wait("not a token", `document.getElementById("token-error").textContent.includes("not a token")`)
	p.fill("token", s.URL+"/studio#token="+s.Admin)
	p.clickID("use-token")
	p.fill("name", "taken")
	p.clickID("go-live")
	p.waitState("error")
	p.wait("the step", `document.querySelector('[data-step="signalling"]').dataset.stepState === "failed"`)
	p.wait("the reason", `document.getElementById("trouble").textContent.includes("another key")`)

	p.fill("name", "mine")
	p.clickID("go-live")
	p.waitState("live")
	s.do(t, "DELETE", "/api/streams/mine/broadcast", http.StatusNoContent, nil)
	p.waitState("error")
	p.wait("the reason", `document.getElementById("trouble").textContent.includes("ended or continued elsewhere")`)

	p.clickID("obs")
	p.clickID("make-key")
	p.wait("a key", `document.getElementById("obs-token").getAttribute("value")?.split(".").length === 3`)
	p.checkQuiet()
}

// TestSourcesChange: another quality goes on in the same session; sound alone is another broadcast, and plays as well.
func TestSourcesChange(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	studio := b.goLive(s, "kopi", "Kopi sore")
	viewer := b.open(s.URL + "/watch/kopi")
	viewer.waitMedia()
	eval[bool](studio, `(document.getElementById("quality").value = "480", document.getElementById("quality").dispatchEvent(new Event("change", { bubbles: true })), true)`)
	viewer.wait("a smaller picture", player+".video.videoHeight === 480")
	viewer.waitMedia()

	studio.click(`document.querySelector('[name="source"][value="sound"]').parentElement`)
	viewer.wait("no picture any more", player+".info?.video === null")
	viewer.waitState("live")
	viewer.click(unmute)
	viewer.waitSound()
	viewer.shot("sound-only")
	studio.waitState("live")
	viewer.checkQuiet()
	studio.checkQuiet()
}

// TestDescriptions are the edits of SDP that the pages make.
func TestDescriptions(t *testing.T) {
	s := startServer(t)
	p := startBrowser(t).open(s.URL + "/studio")
	for _, c := range []struct{ expression, want string }{
		{`m.stereoOpus("a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=0\r\na=fmtp:96 x=1\r\n")`,
			"a=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;stereo=1;sprop-stereo=1\r\na=fmtp:96 x=1\r\n"},
		{`m.startBitrate("m=audio 9\r\na=rtpmap:111 opus/48000/2\r\nm=video 9\r\na=rtpmap:96 VP8/90000\r\n", 900)`,
			"m=audio 9\r\na=rtpmap:111 opus/48000/2\r\nm=video 9\r\na=rtpmap:96 VP8/90000\r\na=fmtp:96 x-google-start-bitrate=900\r\n"},
		{`m.startBitrate("m=video 9\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 a=1\r\n", 900)`,
			"m=video 9\r\na=rtpmap:97 rtx/90000\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 a=1;x-google-start-bitrate=900\r\n"},
		{`m.fragment("v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=ice-ufrag:u\r\na=ice-pwd:p\r\na=mid:0\r\nm=video 9 X 96\r\na=mid:1\r\n", ["candidate:1"], true)`,
			"a=ice-ufrag:u\r\na=ice-pwd:p\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:0\r\na=candidate:1\r\na=end-of-candidates\r\n"},
		{`JSON.stringify(m.iceServers('<stun:a:3478>; rel="ice-server", <turn:b:3478?transport=udp>; rel="ice-server"; username="1:u"; credential="c="; credential-type="password", </x>; rel="other"'))`,
			`[{"urls":"stun:a:3478"},{"urls":"turn:b:3478?transport=udp","username":"1:u","credential":"c="}]`},
	} {
		if got := eval[string](p, `import("/static/js/sdp.js").then((m) => `+c.expression+`)`); got != c.want {
			t.Errorf("%s:\n got %q\nwant %q", c.expression, got, c.want)
		}
	}
}

// TestPagesLook keeps pictures of all pages, and holds what can be told of their looks without eyes.
func TestPagesLook(t *testing.T) {
	s := startServer(t)
	b := startBrowser(t)
	empty := b.open(s.URL + "/")
	empty.wait("the empty state", `!document.getElementById("empty").hidden`)
	for _, l := range looks {
		empty.shoot("empty", l)
	}
	gate := b.open(s.URL + "/studio")
	gate.shoot("studio-gate", looks[0])
	missing := b.open(s.URL + "/watch/BAD")
	missing.waitState("missing")
	for _, l := range looks {
		missing.shoot("missing", l)
	}

	s.publishDemo(t, "demo")
	studio := b.goLive(s, "kopi", "Kopi sore di teras")
	dashboard := b.open(s.URL + "/")
	dashboard.wait("two pictures", `document.querySelectorAll('[data-picture="keyframe"]').length === 2`)
	watch := b.open(s.URL + "/watch/demo")
	watch.waitMedia()
	watch.clickID("stats-toggle")
	watch.wait("statistics", `document.querySelector('[data-testid="stat-resolution"]').textContent === "854 × 480"`)
	waiting := b.open(s.URL + "/watch/besok")
	waiting.waitState("waiting")
	for _, l := range looks {
		dashboard.shoot("dashboard", l)
		watch.shoot("watch", l)
		studio.shoot("studio", l)
		waiting.shoot("waiting", l)
	}
	for name, p := range map[string]*tab{"dashboard": dashboard, "watch": watch, "studio": studio, "waiting": waiting} {
		p.clickID("language")
		p.wait("Indonesian", `document.documentElement.lang === "id"`)
		p.wait("no word without a translation", `!/\b[a-z]+\.[a-z]+[A-Za-z.]*\b/.test(document.querySelector("main").innerText.replaceAll(location.host, ""))`)
		p.shoot(name+"-id", looks[2])
		p.checkQuiet()
	}
}

// shoot takes a picture, and checks that nothing sticks out and that everything to press or fill has a name.
func (p *tab) shoot(name string, l look) {
	p.t.Helper()
	p.look(l)
	p.wait("it fits", "document.documentElement.scrollWidth <= innerWidth")
	nameless := eval[[]string](p, `(() => {
		const all = (root) => [...root.querySelectorAll("*")].flatMap((e) => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
		return all(document).filter((e) => e.matches("button, input, select, textarea, a[href]") && e.checkVisibility())
			.filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.[0]?.textContent.trim()))
			.map((e) => e.outerHTML.slice(0, 120));
	})()`)
	for _, e := range nameless {
		p.t.Errorf("%s: no name: %s", name, e)
	}
	p.do("fonts", waitSettled())
	p.shot(name + "-" + l.name)
}
