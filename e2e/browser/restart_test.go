package browser

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// watchGaps measures the time between pictures on the screen of a player, in milliseconds.
const watchGaps = `(() => {
	const video = ` + chromium.Player + `.video;
	let last = performance.now();
	window.gap = 0;
	const shown = (now) => { window.gap = Math.max(window.gap, now - last); last = now; again(); };
	const again = () => video.requestVideoFrameCallback(shown);
	again();
	return true;
})()`

// TestNetworkChangeKeepsTheSession: when the browser reports another network, viewer and studio restart ICE, and both
// go on in the sessions that they have.
func TestNetworkChangeKeepsTheSession(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	site := startCounted(t, s)
	proxied := &harness.Server{URL: site.URL, Admin: s.Admin}
	b := chromium.Start(t)
	studio := b.GoLive(proxied, "kopi", "Kopi sore")
	viewer := b.Open(site.URL + "/watch/kopi")
	viewer.WaitMedia()
	chromium.Eval[bool](viewer, watchGaps)
	for i, step := range []struct {
		tab    *chromium.Tab
		prefix string
	}{{viewer, "/whep/kopi"}, {studio, "/whip/kopi"}, {viewer, "/whep/kopi"}} {
		patches := site.count("PATCH " + step.prefix)
		chromium.Eval[bool](step.tab, `dispatchEvent(new Event("online"))`)
		harness.Eventually(t, "a restart", func() bool { return site.count("PATCH "+step.prefix) > patches })
		viewer.WaitMedia()
		if i == 1 {
			studio.WaitState("live")
		}
	}
	for _, prefix := range []string{"POST /whep/kopi", "POST /whip/kopi"} {
		if n := site.count(prefix) - site.count(prefix+"/"); n != 1 { // below are event streams
			t.Errorf("%d requests %s", n, prefix)
		}
	}
	t.Logf("the longest time between two pictures was %.0f ms", chromium.Eval[float64](viewer, "gap"))
	for _, p := range []*chromium.Tab{studio, viewer} {
		p.CheckConsole()
	}
}
