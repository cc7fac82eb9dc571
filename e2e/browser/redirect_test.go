package browser

import (
	"net/http"
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/web/access"
)

// TestPagesLeadToAnotherServer: a card, an embedded player and a page that waits lead to where the stream is.
func TestPagesLeadToAnotherServer(t *testing.T) {
	t.Parallel()
	on, _ := harness.UseFirestore(t)
	one, two := harness.Start(t, on("one")), harness.Start(t, on("two"))
	one.PublishDemo(t, "kopi")
	b := chromium.Start(t)
	at := func(p *chromium.Tab, want string) {
		t.Helper()
		p.Wait("the other server's page", `location.href === "`+want+`"`)
		p.WaitMedia()
		p.CheckConsole()
	}
	visitor := b.Open(two.URL + "/")
	card := `document.querySelector('[data-stream="kopi"]')`
	visitor.Wait("a card", card)
	for _, l := range chromium.Viewports {
		visitor.SetViewport(l)
		visitor.Do("settle", chromium.Settled())
		visitor.Screenshot("elsewhere-" + l.Name)
	}
	visitor.SetViewport(chromium.Usual)
	visitor.Click(card + `.querySelector("a")`)
	at(visitor, one.URL+"/watch/kopi")
	at(b.Open(two.URL+"/embed/kopi"), one.URL+"/embed/kopi")
	guest := b.Open(playerElsewhere(two, t, "kopi")) // stays where it is, and its player follows
	guest.WaitMedia()
	harness.Eventually(t, "three watch", func() bool { return len(one.Viewers(t, "kopi")) == 3 })
	guest.Close()
	harness.Eventually(t, "the guest has left", func() bool { return len(one.Viewers(t, "kopi")) == 2 })
	guest.CheckConsole()

	waiting, framed := b.Open(two.URL+"/watch/later?relay"), b.Open(two.URL+"/embed/later")
	waiting.WaitState("waiting")
	framed.WaitState("waiting")
	stop := one.PublishDemo(t, "later")
	at(waiting, one.URL+"/watch/later?relay=")
	at(framed, one.URL+"/embed/later")
	stop()
	waiting.WaitState("ended")
	harness.Eventually(t, "the name is free", func() bool { return two.Stream(t, "later").Status == "offline" })
	two.PublishDemo(t, "later")
	at(waiting, two.URL+"/watch/later?relay=")
}

// TestPageIsLoadedAnewOnce: of a private stream the page cannot be sent on, as it carries no token. The page tries that
// once and waits on.
func TestPageIsLoadedAnewOnce(t *testing.T) {
	t.Parallel()
	on, _ := harness.UseFirestore(t)
	one, two := harness.Start(t, on("one")), harness.Start(t, on("two"))
	harness.Eventually(t, "the stream is private", func() bool { // 503 while the emulator is busy
		return two.Call(t, http.MethodPatch, "/api/streams/secret", two.Admin, `{"visibility":"private"}`)/100 == 2
	})
	p := chromium.Start(t).Open(two.URL + "/watch/secret#token=" + two.Token(t, "secret", access.Watch))
	p.WaitState("waiting")
	chromium.Eval[bool](p, `window.first = true`)
	one.PublishDemo(t, "secret")
	p.Wait("the page is reloaded", `!window.first && document.body?.dataset.state === "waiting"`)
	chromium.Eval[bool](p, `(window.told = 0, `+chromium.Player+`.addEventListener("elsewhere", () => told++), true)`)
	p.Wait("it is told again, twice", `(`+chromium.Player+`.receiver.again(), window.told >= 2)`)
	p.WaitState("waiting")
	if at := chromium.Eval[string](p, "location.href"); at != two.URL+"/watch/secret" {
		t.Errorf("it is at %s", at)
	}
	p.CheckConsole()
}
