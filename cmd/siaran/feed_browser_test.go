package main

import "testing"

// TestFeedNoticesSilence: live updates begin anew when their connection has died without a word, as after sleep or a change of network.
func TestFeedNoticesSilence(t *testing.T) {
	s := startServer(t)
	p := startBrowser(t).open(s.URL + "/")
	p.waitState("live")
	// The clock runs a hundred times as fast, and what is asked for says one thing and then nothing for ever.
	eval[bool](p, `(async () => {
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
	p.wait("it asks again and is told again", `window.asked >= 3`)
	eval[bool](p, `(window.feed.close(), true)`)
	if told := eval[string](p, `window.told.slice(0, 5).join(" ")`); told != "online snapshot offline online snapshot" {
		t.Errorf("told %q", told)
	}
	// After close nothing goes on.
	if eval[bool](p, `new Promise((done) => { const before = window.asked; setTimeout(() => done(window.asked !== before), 60000); })`) {
		t.Error("it asks after it was closed")
	}
	p.checkQuiet()
}
