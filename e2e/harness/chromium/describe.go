package chromium

import (
	"context"
	"fmt"
	"strings"

	"github.com/chromedp/chromedp"
)

// pageNow is what a page can say of itself: its state, its words, and what it has loaded, each with its status (0 has
// failed). What it still waits for is missing there.
const pageNow = `(() => {
	const loaded = performance.getEntriesByType("resource").slice(-40)
		.map((r) => r.responseStatus + " " + r.name.replace(location.origin, "") + " at " + Math.round(r.responseEnd));
	return [location.pathname + " is " + (document.body?.dataset.state ?? "without a state") + ", " + document.readyState,
		"it says " + JSON.stringify(document.body?.innerText ?? ""), ...loaded].join("\n\t");
})()`

// describe tells what became of a page, for a test that fails.
func (p *Tab) describe() string {
	ctx, cancel := context.WithTimeout(p.Ctx, pageTime)
	defer cancel()
	now, err := chromedp.Run(ctx, chromedp.Evaluate[string](pageNow))
	if err != nil {
		now = fmt.Sprintf("the page does not answer: %v", err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return now + "\nthe browser says:\n\t" + strings.Join(p.log[max(0, len(p.log)-40):], "\n\t")
}
