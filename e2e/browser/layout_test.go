package browser

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

const twoFrames = `new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`

// watchShifts sums what the page moves by itself (Layout Instability, cumulative layout shift), from its start.
const watchShifts = `window.shifts = 0; window.shifted = [];
new PerformanceObserver((list) => {
	for (const entry of list.getEntries()) {
		if (entry.hadRecentInput) continue;
		window.shifts += entry.value;
		const what = entry.sources.map(({ node }) => node?.id || node?.className || node?.nodeName);
		window.shifted.push(entry.value.toFixed(4) + " " + what.join(", "));
	}
}).observe({ type: "layout-shift", buffered: true });`

// TestPagesStayPut: nothing that is being read or pressed is moved away while a page loads.
func TestPagesStayPut(t *testing.T) {
	t.Parallel()
	const bound = 0.05
	s := harness.Start(t)
	s.PublishDemo(t, "demo")
	b := chromium.Start(t)
	const live = chromium.Player + `?.state === "live"`
	for _, l := range []chromium.Viewport{chromium.Viewports[0], chromium.Viewports[2]} {
		for path, ready := range map[string]string{
			"/watch/demo": live, "/watch/later": `document.body.dataset.state === "waiting"`, "/embed/demo": live,
			"/": `document.querySelector('[data-picture="keyframe"]')`, "/studio": `!document.getElementById("gate").hidden`,
		} {
			p := b.OpenWith(watchShifts, "about:blank")
			p.SetViewport(l)
			p.Navigate(s.URL + path)
			p.Wait(path+" is ready", ready)
			p.Do("it settles", chromium.Settled())
			p.Wait("two frames", twoFrames)
			if shifts := chromium.Eval[float64](p, "shifts"); shifts > bound {
				t.Errorf("%s, %s: %.3f, want at most %v: %q", path, l.Name, shifts, bound, chromium.Eval[[]string](p, "shifted"))
			} else {
				t.Logf("%s, %s: %.4f", path, l.Name, shifts)
			}
			p.Close()
		}
	}
}
