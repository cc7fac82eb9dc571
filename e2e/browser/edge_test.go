package browser

import (
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
)

// TestWatchAtAnEdge: a page of one server waits for a stream of another one, and plays it when it goes live.
func TestWatchAtAnEdge(t *testing.T) {
	t.Parallel()
	origin := harness.Start(t)
	edge := harness.Start(t, func(c *server.Config) { c.Node, c.Parent = "edge", origin.URL })
	b := chromium.Start(t)
	dashboard, viewer := b.Open(edge.URL+"/"), b.Open(edge.URL+"/watch/demo")
	viewer.Wait("it waits", `document.body?.dataset.state === "waiting"`)
	stop := origin.PublishDemo(t, server.DemoStream)
	viewer.WaitMedia()
	dashboard.Wait("a card", `document.querySelector('[data-stream="demo"]')`)
	dashboard.Wait("one viewer",
		`document.querySelector('[data-stream="demo"]').querySelector(".watching").textContent === "1"`)
	stop()
	viewer.Wait("it is over", `document.body.dataset.state !== "live"`)
}
