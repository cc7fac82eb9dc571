package browser

import (
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/axe"
)

// checkAxe fails the test for what keeps people from using the page. label-content-name-mismatch is experimental in
// axe-core, and serious.
func checkAxe(p *chromium.Tab, name, script string, l chromium.Viewport) {
	p.T.Helper()
	p.SetViewport(l.Still())
	p.Wait("two frames", twoFrames) // in which what changes slowly begins to
	p.Do("it settles", chromium.Settled())
	chromium.Eval[bool](p, "("+`window.axe ? true : (() => {`+script+`; return true; })()`+")")
	for _, fault := range chromium.Eval[[]string](p,
		`axe.run(document, { resultTypes: ["violations"],
			rules: { "label-content-name-mismatch": { enabled: true } } })
		.then(({ violations }) => violations.filter(({ impact }) => impact === "serious" || impact === "critical")
			.flatMap(({ id, impact, nodes }) => nodes.map(({ html, failureSummary }) =>
				[id, impact, html.slice(0, 200), failureSummary].join(": "))))`) {
		p.T.Errorf("%s, %s: %s", name, l.Name, fault)
	}
}

// TestEveryoneCanUseThePages in both languages, light and dark, on a desk and on a phone.
func TestEveryoneCanUseThePages(t *testing.T) {
	t.Parallel()
	script := axe.Script(t)
	s := harness.Start(t)
	b := chromium.Start(t)
	type view struct {
		name string
		tab  *chromium.Tab
	}
	check := func(views ...view) {
		t.Helper()
		for _, v := range views {
			checkAxe(v.tab, v.name+", English", script, chromium.Viewports[0])
			chromium.Eval[bool](v.tab, `import("/static/js/i18n.js").then(({ setLanguage }) => (setLanguage("id"), true))`)
			checkAxe(v.tab, v.name+", Indonesian", script, chromium.Viewports[3])
			v.tab.Close()
		}
	}
	empty, gate, waiting := b.Open(s.URL+"/"), b.Open(s.URL+"/studio"), b.Open(s.URL+"/watch/later")
	empty.Wait("the empty state", `!document.getElementById("empty").hidden`)
	waiting.WaitState("waiting")
	check(view{"API", b.Open(s.URL + "/api/")}, view{"problem", b.Open(s.URL + "/problems/not-live")})
	check(view{"empty", empty}, view{"gate", gate}, view{"waiting", waiting})

	stop := s.PublishDemo(t, "ends")
	s.PublishDemo(t, "demo")
	publishParts(s, t, "sound", false, true)
	studio := b.GoLive(s, "kopi", "Kopi sore")
	dashboard, watch, bare := b.Open(s.URL+"/"), b.Open(s.URL+"/watch/demo"), b.Open(s.URL+"/embed/demo")
	paused := b.Open(s.URL + "/watch/demo")
	ended, sound := b.Open(s.URL+"/watch/ends"), b.Open(s.URL+"/watch/sound")
	dashboard.Wait("its cards", `document.querySelectorAll("[data-stream]").length === 4`)
	watch.WaitMedia()
	watch.ClickID("stats-toggle")
	bare.WaitMedia()
	paused.WaitMedia()
	chromium.Eval[bool](paused, `(`+chromium.Player+`.pause(), true)`)
	paused.WaitState("paused")
	ended.WaitMedia()
	stop()
	ended.WaitState("ended")
	sound.Wait("it says what is missing", message+` !== ""`)
	check(view{"dashboard", dashboard}, view{"watch", watch}, view{"embed", bare})
	check(view{"ended", ended}, view{"sound", sound}, view{"studio", studio}, view{"paused", paused})
}
