package browser

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// TestFeedNoticesSilence: live updates start over when their connection has died without a word, as after sleep or a
// change of network.
func TestFeedNoticesSilence(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	p := chromium.Start(t).Open(s.URL + "/")
	p.WaitState("live")
	// The clock runs a hundred times as fast, and what is asked for says one thing and then nothing for ever.
	chromium.Eval[bool](p, `(async () => {
		const { Feed } = await import("/static/js/feed.js");
		const later = window.setTimeout;
		window.setTimeout = (f, time, ...rest) => later(f, time / 100, ...rest);
		window.asked = 0;
		window.fetch = async (url, { signal }) => {
			window.asked++;
			return new Response(new ReadableStream({ start(stream) {
				stream.enqueue(new TextEncoder().encode('event: snapshot\ndata: {"streams":[]}\n\n'));
				signal.addEventListener("abort", () => stream.error(signal.reason));
			} }));
		};
		window.told = [];
		const feed = new Feed();
		for (const name of ["online", "snapshot", "offline"]) feed.addEventListener(name, () => window.told.push(name));
		feed.start();
		window.feed = feed;
		return true;
	})()`)
	p.Wait("it asks again and is told again", `window.asked >= 3`)
	chromium.Eval[bool](p, `(window.feed.close(), true)`)
	if told := chromium.Eval[string](p, `window.told.slice(0, 5).join(" ")`); told != "online snapshot offline online "+
		"snapshot" {
		t.Errorf("told %q", told)
	}
	// After close nothing goes on.
	if chromium.Eval[bool](p,
		`new Promise((done) => { const before = window.asked; setTimeout(() => done(window.asked !== before), 60000); })`) {
		t.Error("it asks after it was closed")
	}
	p.CheckConsole()
}
