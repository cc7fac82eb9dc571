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

// playFor waits until each of the tabs has played for so many seconds, and gives the pictures that each has decoded
// meanwhile.
func playFor(seconds int, tabs []*chromium.Tab) []int {
	const step = 5
	decoded := fmt.Sprintf(chromium.Inbound, "framesDecoded")
	from, pictures := make([]float64, len(tabs)), make([]int, len(tabs))
	for i, p := range tabs {
		from[i], pictures[i] = chromium.Eval[float64](p, chromium.Player+".video.currentTime"),
			-chromium.Eval[int](p, decoded)
	}
	for played := step; played <= seconds; played += step {
		for i, p := range tabs {
			p.Wait("it plays on", fmt.Sprintf("%s.video.currentTime >= %g", chromium.Player, from[i]+float64(played)))
		}
	}
	for i, p := range tabs {
		pictures[i] += chromium.Eval[int](p, decoded)
	}
	return pictures
}

// TestRelayedInChromium watches for 20 s with nothing but the relay, over UDP, TCP and TLS on the port of HTTPS, and
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
	pictures := playFor(20, viewers)
	for i, v := range viewers {
		t.Logf("%s: %d pictures in 20 s", transports[i], pictures[i])
		if pictures[i] < 250 { // of 500; a machine under load may decode fewer
			t.Errorf("%s: %d pictures in 20 s", transports[i], pictures[i])
		}
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
