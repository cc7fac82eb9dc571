package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// pageTime bounds each wait for a page; a machine under load needs much of it.
const pageTime = 30 * time.Second

// browser is a Chromium of its own, with a camera and a microphone that are made up.
type browser struct {
	t   *testing.T
	ctx context.Context
}

// startBrowser runs Chromium until the test ends. Options may be added. Without one the test fails on CI and is left out elsewhere.
func startBrowser(t *testing.T, more ...chromedp.ExecAllocatorOption) *browser {
	t.Helper()
	path := findChromium()
	if path == "" {
		const how = "no Chromium found: install it ('apt-get install chromium' on Debian), or name one in SIARAN_CHROMIUM"
		if os.Getenv("CI") != "" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(t.TempDir()), chromedp.WindowSize(1280, 800),
		// Nothing is said of autoplay: it has to work as in any browser.
		chromedp.Flag("headless", "new"), chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("use-fake-device-for-media-stream", true), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en-GB"), chromedp.Flag("accept-lang", "en-GB"),
	}
	allocated, release := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(allocated)
	t.Cleanup(func() {
		cancel()
		chromedp.WaitClosed(ctx)
		release()
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	return &browser{t: t, ctx: ctx}
}

func findChromium() string {
	if path := os.Getenv("SIARAN_CHROMIUM"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// tab is one page in a browser context of its own, so that it shares no storage with others.
type tab struct {
	t     *testing.T
	ctx   context.Context
	close func()

	mu   sync.Mutex
	said []string // errors on the console
}

// look is how a page is looked at.
type look struct {
	name   string
	width  int64
	height int64
	phone  bool
	dark   bool
}

var looks = []look{
	{"desktop-light", 1280, 800, false, false}, {"desktop-dark", 1280, 800, false, true},
	{"phone-light", 390, 844, true, false}, {"phone-dark", 390, 844, true, true},
}

// open goes to a URL in a new browser context.
func (b *browser) open(url string) *tab {
	b.t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	p := &tab{t: b.t, ctx: ctx}
	p.close = sync.OnceFunc(func() {
		cancel()
		chromedp.WaitClosed(ctx)
	})
	b.t.Cleanup(p.close)
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
	p.look(looks[0])
	p.visit(url)
	return p
}

// hear keeps what a page must never say. Refusals of the server are part of some tests.
func (p *tab) hear(m chromedp.ConsoleMessage) {
	if !m.IsException() && (m.Type != "error" || strings.HasPrefix(m.Text, "Failed to load resource")) {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.said = append(p.said, m.String())
}

// checkQuiet fails the test when a script has thrown or the browser has blocked something.
func (p *tab) checkQuiet() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, text := range p.said {
		p.t.Errorf("on the console: %s", text)
	}
	p.said = nil
}

func (p *tab) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	if err := chromedp.Do(ctx, actions...); err != nil {
		p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
		p.t.Fatalf("%s: %v", what, err)
	}
}

func (p *tab) visit(url string) {
	p.t.Helper()
	p.do("open "+strings.SplitN(url, "#", 2)[0], chromedp.Navigate(url))
}

func (p *tab) look(l look) {
	p.t.Helper()
	scheme := "light"
	if l.dark {
		scheme = "dark"
	}
	_, err := chromedp.Call(p.ctx, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: l.width, Height: l.height, DeviceScaleFactor: 1, Mobile: l.phone})
	if err == nil {
		_, err = chromedp.Call(p.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	}
	if err != nil {
		p.t.Fatalf("look %s: %v", l.name, err)
	}
}

// eval gives the value of a JavaScript expression; a promise is awaited.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	value, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return value
}

// wait polls until a JavaScript expression is true.
func (p *tab) wait(what, expression string) {
	p.t.Helper()
	deadline := time.Now().Add(pageTime)
	for {
		ctx, cancel := context.WithDeadline(p.ctx, deadline)
		ok, err := chromedp.Run(ctx, chromedp.Evaluate[bool]("Promise.resolve("+expression+").then(Boolean)", chromedp.EvalAwaitPromise))
		cancel()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			p.shot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
			p.t.Fatalf("in vain: %s (%s, %v); the page is %s and says %q", what, expression, err,
				eval[string](p, "document.body?.dataset.state ?? ''"), eval[string](p, "document.body?.innerText ?? ''"))
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// waitState waits for the state that a page shows on its body.
func (p *tab) waitState(state string) {
	p.t.Helper()
	p.wait("state "+state, `document.body?.dataset.state === "`+state+`"`)
}

// click is a real click of the mouse at what a JavaScript expression gives.
func (p *tab) click(element string) {
	p.t.Helper()
	p.do("click "+element, chromedp.Click(chromedp.JSPath(element), chromedp.NodeVisible))
}

func (p *tab) clickID(id string) {
	p.t.Helper()
	p.click(`document.getElementById("` + id + `")`)
}

// fill types into a field as a person does.
func (p *tab) fill(id, text string) {
	p.t.Helper()
	p.clickID(id)
	eval[bool](p, `(document.getElementById("`+id+`").select(), true)`) // what is typed replaces what is there
	p.do("fill "+id, chromedp.KeyEvent(text))
}

// crash kills the renderer, which says goodbye to nobody. The tab is of no more use.
func (p *tab) crash() {
	ctx, cancel := context.WithTimeout(p.ctx, time.Second) // nobody is left to answer
	defer cancel()
	chromedp.Call(ctx, page.Crash, cdp.Empty{})
}

// shot keeps a picture of the page under test-artefacts.
func (p *tab) shot(name string) {
	p.t.Helper()
	dir := filepath.Join("..", "..", "test-artefacts")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, pageTime)
	defer cancel()
	taken, err := chromedp.Call(ctx, page.CaptureScreenshot, page.CaptureScreenshotParams{})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, name+".png"), taken.Data, 0o644)
	}
	if err != nil {
		p.t.Errorf("screenshot %s: %v", name, err)
	}
}

// waitSettled waits until fonts are there and animations that end have ended.
func waitSettled() chromedp.Action[chromedp.Void] {
	return chromedp.Evaluate[chromedp.Void](`document.fonts.ready.then(() => Promise.race([
		Promise.allSettled(document.getAnimations().filter((a) => a.effect.getComputedTiming().iterations !== Infinity).map((a) => a.finished)),
		new Promise((done) => setTimeout(done, 1000)),
	])).then(() => true)`, chromedp.EvalAwaitPromise)
}
