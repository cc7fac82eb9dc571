package chromium

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// Tab is one page in a browser context of its own, so that it shares no storage with others.
type Tab struct {
	T   *testing.T
	Ctx context.Context

	browser context.Context
	cancel  context.CancelFunc

	mu   sync.Mutex
	said []string // what a page must never say on the console
	log  []string // what the browser has to complain about, requests that failed among it
}

// Open goes to a URL in a new browser context, which lasts until the test ends: when a tab is closed, its last requests
// still go out, as in any browser.
func (b *Browser) Open(url string) *Tab {
	b.t.Helper()
	made, err := chromedp.CallBrowser(b.ctx, target.CreateBrowserContext, target.CreateBrowserContextParams{})
	if err != nil {
		b.t.Fatalf("no browser context: %v", err)
	}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithExistingBrowserContext(made.BrowserContextID))
	p := &Tab{T: b.t, Ctx: ctx, browser: b.ctx, cancel: cancel}
	b.t.Cleanup(func() {
		p.forget()
		id := target.DisposeBrowserContextParams(made)
		if _, err := chromedp.CallBrowser(b.ctx, target.DisposeBrowserContext, id); err != nil {
			b.t.Logf("a browser context is left: %v", err)
		}
	})
	if err := chromedp.Do(ctx); err != nil { // without a time limit, which would become the tab's
		b.t.Fatalf("no tab: %v", err)
	}
	messages := chromedp.Console(ctx)
	go func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.hear(m)
		}
	}()
	p.SetViewport(Usual)
	p.Navigate(url)
	return p
}

// Close closes the tab as a person does, and waits until it is gone. Chromium gives a page half a second to say
// goodbye, which a busy machine may not have; while a debugger is attached, it waits.
func (p *Tab) Close() {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.browser, pageTime)
	defer cancel()
	id := chromedp.FromContext(p.Ctx).Target.TargetID
	if _, err := chromedp.CallBrowser(ctx, target.CloseTarget, target.CloseTargetParams{TargetID: id}); err != nil {
		p.T.Fatalf("the tab does not close: %v", err)
	}
	for {
		list, err := chromedp.CallBrowser(ctx, target.GetTargets, target.GetTargetsParams{})
		if err != nil {
			p.T.Fatalf("the tab does not go: %v", err)
		}
		if !slices.ContainsFunc(list.TargetInfos, func(info *target.Info) bool { return info.TargetID == id }) {
			break
		}
		time.Sleep(shortPause)
	}
	p.forget()
}

func (p *Tab) forget() {
	p.cancel()
	chromedp.WaitClosed(p.Ctx)
}

// hear keeps what a page must never say. Refusals of the server are part of some tests.
func (p *Tab) hear(m chromedp.ConsoleMessage) {
	bad := m.IsException() || m.Type == chromedp.ConsoleError
	if !bad && m.Type != chromedp.ConsoleWarning {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.log = append(p.log, m.String()+" "+m.URL)
	if bad && (m.IsException() || !strings.HasPrefix(m.Text, "Failed to load resource")) {
		p.said = append(p.said, m.String())
	}
}

// CheckConsole fails the test when a script has thrown or the browser has blocked something.
func (p *Tab) CheckConsole() {
	p.T.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.said {
		p.T.Errorf("on the console: %s", text)
	}
	p.said = nil
}

func (p *Tab) Do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, pageTime)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.Screenshot("failed-" + strings.ReplaceAll(p.T.Name(), "/", "-"))
		p.T.Fatalf("%s: %v\n%s", what, err, p.describe())
	}
}

func (p *Tab) Navigate(url string) {
	p.T.Helper()
	p.Do("open "+strings.SplitN(url, "#", 2)[0], chromedp.Navigate(url))
}

// Eval gives the value of a JavaScript expression; a promise is awaited.
func Eval[T any](p *Tab, expression string) T {
	p.T.Helper()
	ctx, cancel := context.WithTimeout(p.Ctx, pageTime)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.T.Fatalf("%s: %v", expression, err)
	}
	return value
}

// The pauses of Wait between two looks, which grow: looking costs the browser something.
const shortPause, longPause = 25 * time.Millisecond, 200 * time.Millisecond

// Wait polls until a JavaScript expression is true.
func (p *Tab) Wait(what, expression string) {
	p.T.Helper()
	deadline := time.Now().Add(pageTime)
	for pause := shortPause; ; pause = min(pause+pause/8, longPause) {
		ctx, cancel := context.WithDeadline(p.Ctx, deadline)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Promise.resolve("+expression+").then(Boolean)",
			chromedp.EvalAwaitPromise))
		cancel()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.Screenshot("failed-" + strings.ReplaceAll(p.T.Name(), "/", "-"))
			p.T.Fatalf("in vain: %s (%s, %v)\n%s", what, expression, err, p.describe())
		}
		time.Sleep(pause)
	}
}

// Click is a real click of the mouse at what a JavaScript expression gives.
func (p *Tab) Click(element string) {
	p.T.Helper()
	p.Do("click "+element, chromedp.Click(chromedp.JSPath(element), chromedp.NodeVisible))
}

func (p *Tab) ClickID(id string) {
	p.T.Helper()
	p.Click(`document.getElementById("` + id + `")`)
}

// Fill types into a field as a person does.
func (p *Tab) Fill(id, text string) {
	p.T.Helper()
	p.ClickID(id)
	Eval[bool](p, `(document.getElementById("`+id+`").select(), true)`) // what is typed replaces what is there
	p.Do("fill "+id, chromedp.KeyEvent(text))
}

// Crash kills the renderer, which says goodbye to nobody. The tab is of no more use.
func (p *Tab) Crash() {
	ctx, cancel := context.WithTimeout(p.Ctx, time.Second) // nobody is left to answer
	defer cancel()
	chromedp.Call(ctx, page.Crash, cdp.Empty{})
}

// Screenshot keeps a picture of the page under test-artefacts.
func (p *Tab) Screenshot(name string) {
	p.T.Helper()
	dir := filepath.Join("..", "..", "test-artefacts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.T.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.Ctx, pageTime)
	defer cancel()
	taken, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), taken.Data, 0o644)
	}
	if err != nil {
		p.T.Errorf("screenshot %s: %v", name, err)
	}
}

// Settled waits until fonts are there and animations that end have ended.
func Settled() chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](`document.fonts.ready.then(() => Promise.race([
		Promise.allSettled(document.getAnimations()
			.filter((a) => a.effect.getComputedTiming().iterations !== Infinity).map((a) => a.finished)),
		new Promise((done) => setTimeout(done, 1000)),
	])).then(() => true)`, chromedp.EvalAwaitPromise)
}

// OpenWith is open with a script that runs before those of the page.
func (b *Browser) OpenWith(script, url string) *Tab {
	b.t.Helper()
	p := b.Open("about:blank")
	params := page.AddScriptToEvaluateOnNewDocumentParams{Source: script}
	if _, err := chromedp.Call(p.Ctx, page.AddScriptToEvaluateOnNewDocument, params); err != nil {
		b.t.Fatal(err)
	}
	p.Navigate(url)
	return p
}
