package browser

import (
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// playOn waits until each of the tabs has decoded so many more pictures, and has played for some seconds.
func playOn(pictures int, tabs []*chromium.Tab) {
	const steps, seconds = 4, 8 // a wait for a part of it each, on a machine that may be busy
	decoded := fmt.Sprintf(chromium.Inbound, "framesDecoded")
	at, from := make([]float64, len(tabs)), make([]int, len(tabs))
	for i, p := range tabs {
		at[i], from[i] = chromium.Eval[float64](p, chromium.Player+".video.currentTime"), chromium.Eval[int](p, decoded)
	}
	for n := 1; n <= steps; n++ {
		for i, p := range tabs {
			p.Wait("it plays on", fmt.Sprintf("%s.video.currentTime >= %g", chromium.Player, at[i]+float64(seconds*n)/steps))
			p.Wait("more pictures", fmt.Sprintf("%s.then((n) => n >= %d)", decoded, from[i]+pictures*n/steps))
		}
	}
}

// TestRelayedInChromium watches for a while with nothing but the relay, over UDP, TCP and TLS on the port of HTTPS, and
// goes live from the studio that way. The offers know nothing of the relay yet, and these viewers cannot send
// candidates later: the media learns where they are from their checks.
func TestRelayedInChromium(t *testing.T) {
	t.Parallel()
	s := harness.StartSecure(t, func(c *server.Config) { c.Demo = true })
	b := chromium.Start(t, chromium.Trusting(t, s.Cert))
	transports := []string{"udp", "tcp", "tls"}
	var viewers []*chromium.Tab
	for _, transport := range transports {
		v := b.Open("about:blank")
		const mute = `const ask = fetch; window.fetch = (url, options) => options?.method === "PATCH"
			? Promise.reject(new TypeError("no PATCH"))
			: ask(url, options)`
		if _, err := chromedp.Call(v.Ctx, page.AddScriptToEvaluateOnNewDocument,
			page.AddScriptToEvaluateOnNewDocumentParams{Source: mute}); err != nil {
			t.Fatal(err)
		}
		v.Navigate(s.URL + "/watch/demo?relay=" + transport)
		viewers = append(viewers, v)
	}
	studio := b.Open(s.URL + "/studio?relay=tls#token=" + s.Admin)
	studio.Fill("name", "kopi")
	studio.ClickID("go-live")

	for i, v := range viewers {
		v.WaitMedia()
		if got := chromium.Eval[string](v, chromium.RelayProtocol); got != "relay "+transports[i] {
			t.Errorf("it comes by %s, want a relay over %s", got, transports[i])
		}
	}
	harness.Eventually(t, "all are known to be relayed", func() bool {
		return s.Paths(t, server.DemoStream) == "relayed relayed relayed"
	})

	studio.WaitState("live")
	studio.Wait("it says so", `document.querySelector('[data-testid="gauge-path"]').textContent === "Relay, TLS"`)
	direct := b.Open(s.URL + "/watch/kopi")
	direct.WaitMedia()
	harness.Eventually(t, "who was not told to, comes directly", func() bool { return s.Paths(t, "kopi") == "direct" })
	playOn(150, viewers)
	for i, v := range viewers {
		v.ClickID("stats-toggle")
		v.Wait("it says so", `document.querySelector('[data-testid="stat-path"]').textContent === "Relay, `+
			strings.ToUpper(transports[i])+`"`)
		v.CheckConsole()
	}
	direct.WaitMedia()
	shoot(viewers[2], "watch-relayed", chromium.Viewports[0])
	studio.StopWatched()
	studio.CheckConsole()
}
