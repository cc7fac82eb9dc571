package browser

import (
	"fmt"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

const (
	// What the server says that it sends, by its events.
	sentHeight = chromium.Player + `.receiver.quality.viewing?.height`
	sentWhy    = chromium.Player + `.receiver.quality.viewing?.reason`
	// One field of the statistics of what is received of one kind.
	received = chromium.Player + `.receiver.reports().then((all) => all
		.find((r) => r.type === "inbound-rtp" && r.kind === "%s")?.%s ?? 0)`
	// Notes when pictures are shown, and the longest time between two.
	watchPictures = `((video) => {
		window.pictures = { longest: 0 };
		const shown = (now) => {
			const { newest, longest } = window.pictures;
			window.pictures = { newest: now, longest: Math.max(longest, now - (newest ?? now)) };
			video.requestVideoFrameCallback(shown);
		};
		video.requestVideoFrameCallback(shown);
		return true;
	})(` + chromium.Player + `.video)`
	longestGap = `((longest) => { window.pictures.longest = 0; return longest; })(window.pictures.longest)`
)

// TestThinPath cuts the path of a Chromium to what carries the smallest of three layers, and restores it: Chromium gets
// that layer, its sound goes on, and the largest layer comes back. How long that takes depends on the machine, so it is
// only logged. It runs alone, as the layers that are sent depend on when packets arrive.
func TestThinPath(t *testing.T) {
	const wide, thin = 20_000_000, 400_000 // bits a second
	small, large := harness.SimulcastLayers[0].Height, harness.SimulcastLayers[2].Height
	s := harness.Start(t)
	s.Simulcast(t, harness.Cats, s.Admin)
	path := s.ThinPath(t, wide, time.Second, 20*time.Millisecond)
	p := chromium.Start(t).Open(path.URL + "/watch/cats")
	shows := func(height int) time.Duration {
		t.Helper()
		begun := time.Now()
		waitHeight(p, height)
		took := time.Since(begun).Round(time.Millisecond)
		p.Wait("the server says so", fmt.Sprintf("%s === %d", sentHeight, height))
		return took
	}
	receives := func(what, kind, field string, more int) {
		t.Helper()
		read := fmt.Sprintf(received, kind, field)
		from := chromium.Eval[int](p, read)
		p.Wait(what, fmt.Sprintf("%s.then((n) => n >= %d)", read, from+more))
	}
	t.Logf("the largest layer after %v", shows(large))
	chromium.Eval[bool](p, watchPictures)
	receives("pictures", "video", "framesDecoded", 25)
	concealed := fmt.Sprintf(received, "audio", "concealedSamples")
	before := chromium.Eval[int](p, concealed)
	chromium.Eval[float64](p, longestGap)
	path.Report()

	path.SetRate(thin)
	took := shows(small)
	queue, _, dropped := path.Report()
	t.Logf("cut: the smallest layer after %v, no picture for %.0f ms, a queue of %v, %d datagrams dropped", took,
		chromium.Eval[float64](p, longestGap), queue.Round(time.Millisecond), dropped)
	p.Wait("the reason", sentWhy+` === "bandwidth"`)
	receives("pictures of the smallest layer", "video", "framesDecoded", 50)
	receives("its sound", "audio", "packetsReceived", 100)
	waitHeight(p, small)
	queue, _, dropped = path.Report()
	t.Logf("then no picture for %.0f ms, a queue of %v, %d datagrams dropped", chromium.Eval[float64](p, longestGap),
		queue.Round(time.Millisecond), dropped)

	path.SetRate(wide)
	t.Logf("uncut: the largest layer after %v", shows(large))
	receives("pictures of the largest layer", "video", "framesDecoded", 25)
	t.Logf("no picture for %.0f ms, and %d ms of sound made up in all", chromium.Eval[float64](p, longestGap),
		(chromium.Eval[int](p, concealed)-before)/48)
	p.CheckConsole()
}
