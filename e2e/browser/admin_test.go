package browser

import (
	"strings"
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/axe"
	"siaran/web/access"
)

// TestControlRoom follows a broadcast, its viewer and its end, as those see it who run the server.
func TestControlRoom(t *testing.T) {
	t.Parallel()
	s := harness.Start(t)
	b := chromium.Start(t)
	s.Broadcast(t, "kopi", s.Token(t, "kopi", access.Publish), 25)
	s.Watch(t, "kopi")
	room := b.Open(s.URL + "/admin#token=" + s.Admin)
	const cast = `document.querySelector('[data-stream="kopi"]')`
	room.Wait("the broadcast", cast+` !== null && location.hash === ""`)
	do := func(what string) { t.Helper(); room.Click(cast + `.querySelector('[data-do="` + what + `"]')`) }
	do("viewers")
	room.Wait("its viewer, with figures", cast+`.querySelectorAll("[data-viewer]").length === 1
		&& /kbit|Mbit/.test(`+cast+`.querySelector("[data-viewer]").textContent)`)
	room.Wait("the plots have points", cast+`.querySelector("polyline").getAttribute("points").split(" ").length > 1`)
	for _, v := range chromium.Viewports {
		room.SetViewport(v)
		room.Do("it settles", chromium.Settled())
		wide := chromium.Eval[int](room,
			`(({ scrollWidth, clientWidth }) => scrollWidth - clientWidth)(document.documentElement)`)
		if wide > 0 {
			t.Errorf("%s: the page is %d pixels too wide", v.Name, wide)
		}
		room.Screenshot("admin-" + v.Name)
	}
	script := axe.Script(t)
	checkAxe(room, "control room, English", script, chromium.Viewports[3])
	chromium.Eval[bool](room, `import("/static/js/i18n.js").then(({ setLanguage }) => (setLanguage("id"), true))`)
	checkAxe(room, "control room, Indonesian", script, chromium.Viewports[0])

	const open = `document.getElementById("sure").open`
	room.Click(cast + `.querySelector("[data-viewer] td:last-child button:last-child")`)
	room.Wait("it asks", open)
	checkAxe(room, "the question", script, chromium.Viewports[0])
	room.ClickID("sure-yes")
	room.Wait("nothing is known of a viewer on this machine", `!`+open+` && `+cast+`.querySelector(".note.bad") !== null`)
	do("rename")
	room.Wait("it asks for a title", open)
	room.Fill("sure-input", "Kopi pagi")
	room.ClickID("sure-yes")
	room.Wait("the title", cast+`.querySelector("h3").textContent === "Kopi pagi"`)
	do("end")
	room.Wait("it asks", open)
	room.ClickID("sure-no")
	do("end")
	room.ClickID("sure-yes")
	room.Wait("it is over, and in the log", cast+` === null && !document.getElementById("quiet").hidden
		&& document.querySelector('#log [data-kind="ended"]') !== null`)

	gate := b.Open(s.URL + "/admin")
	gate.Wait("the gate", `!document.getElementById("gate").hidden && document.getElementById("room").hidden`)
	checkAxe(gate, "gate", script, chromium.Usual)
	gate.Fill("token", s.URL+"/admin#token="+s.Admin[:strings.LastIndex(s.Admin, ".")]+".forged")
	gate.ClickID("use-token")
	gate.Wait("the server refuses", `!document.getElementById("gate").hidden
		&& document.getElementById("token-error").textContent !== ""`)
	gate.Fill("token", s.Admin)
	gate.ClickID("use-token")
	gate.Wait("the room", `!document.getElementById("room").hidden && document.querySelector("#sums dd") !== null`)
}
