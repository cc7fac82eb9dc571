package chromium

import (
	"fmt"

	"siaran/e2e/harness"
)

// WaitState waits for the state that a page shows on its body.
func (p *Tab) WaitState(state string) {
	p.T.Helper()
	p.Wait("state "+state, `document.body?.dataset.state === "`+state+`"`)
}

const (
	Player      = `document.getElementById("player")`
	Unmute      = Player + `.shadowRoot.getElementById("unmute")`
	framesShown = Player + `.video.getVideoPlaybackQuality().totalVideoFrames`
	// Inbound sums a counter over what a player receives.
	Inbound = Player + `.receiver.reports().then((all) => all
		.filter((r) => r.type === "inbound-rtp").reduce((sum, r) => sum + (r.%s ?? 0), 0))`
)

// GoLive turns the studio's made-up camera on and broadcasts.
func (b *Browser) GoLive(s *harness.Server, stream, title string) *Tab {
	b.t.Helper()
	p := b.OpenStudio(s, "")
	p.Fill("title", title)
	p.Fill("name", stream)
	p.ClickID("go-live")
	p.WaitState("live")
	return p
}

// StopWatched stops a broadcast that someone watches, which the studio asks about. It asks for some seconds only, so
// the answer is given in the moment when the question is seen.
func (p *Tab) StopWatched() {
	p.T.Helper()
	const stop = `document.getElementById("stop")`
	p.ClickID("stop")
	p.Wait("it asks again, with someone watching", stop+`.textContent === "Really stop?" && (`+stop+`.click(), true)`)
	p.WaitState("idle")
}

// OpenStudio opens the studio with a token; query may be empty.
func (b *Browser) OpenStudio(s *harness.Server, query string) *Tab {
	b.t.Helper()
	return b.Open(s.URL + "/studio?" + query + "#token=" + s.Admin)
}

// WaitMedia waits until a player is live, then for more pictures on the screen and more sound decoded.
func (p *Tab) WaitMedia() {
	p.T.Helper()
	p.Wait("a player that is live", Player+`?.receiver?.state === "live"`)
	decoded := fmt.Sprintf(Inbound, "framesDecoded")
	from, shown := Eval[int](p, decoded), Eval[int](p, framesShown)
	p.Wait("more frames decoded", fmt.Sprintf("%s.then((n) => n > %d)", decoded, from+10))
	p.Wait("more frames shown", fmt.Sprintf("%s > %d", framesShown, shown+5))
}

// TapForSound taps until there is sound, as a person does: on a busy machine sound may stop for a moment, and the
// button goes away under the finger.
func (p *Tab) TapForSound() {
	p.T.Helper()
	harness.EventuallyWithin(p.T, pageTime, "sound is on", func() bool {
		if Eval[bool](p, "!"+Player+".video.muted && !"+Player+".video.paused") {
			return true
		}
		if !Eval[bool](p, Unmute+".hidden") {
			p.Click(Unmute) // the page has seen it when this returns
		}
		return false
	})
}

// RelayProtocol is what getStats() says of the way that a player uses: its own candidate's type, and how it reaches the
// relay.
const RelayProtocol = Player + `.receiver.reports().then((all) => {
	const by = (id) => all.find((r) => r.id === id);
	const local = by(by(all.find((r) => r.type === "transport").selectedCandidatePairId)?.localCandidateId);
	return local?.candidateType + " " + local?.relayProtocol;
})`
