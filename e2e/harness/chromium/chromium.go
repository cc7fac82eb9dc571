package chromium

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"siaran/e2e/harness"

	"github.com/chromedp/chromedp"
)

// pageTime bounds each wait for a page: what takes a second may take minutes on a busy machine.
const pageTime = 4 * time.Minute

// Browser is a Chromium with a fake camera and a fake microphone, for one test.
type Browser struct {
	t   *testing.T
	ctx context.Context
}

// Start returns a Chromium: without options the one that the tests of a process share, with options one that runs until
// the test ends. Tabs share nothing but the process. If there is no Chromium, the test fails on CI and is skipped
// elsewhere.
func Start(t *testing.T, more ...chromedp.ExecAllocatorOption) *Browser {
	t.Helper()
	path := findChromium()
	if path == "" {
		const how = "no Chromium found: install it ('apt-get install chromium' on Debian), or name one in SIARAN_CHROMIUM"
		if os.Getenv("CI") != "" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	if len(more) == 0 {
		ctx, err := sharedBrowser(path)
		if err != nil {
			t.Fatalf("Chromium does not start: %v", err)
		}
		return &Browser{t: t, ctx: ctx}
	}
	ctx, stop, err := launch(path, t.TempDir(), more...)
	if err != nil {
		t.Fatalf("Chromium does not start: %v", err)
	}
	t.Cleanup(stop)
	return &Browser{t: t, ctx: ctx}
}

var shared struct {
	mu  sync.Mutex
	ctx context.Context // nil until the first test starts it
}

// sharedBrowser starts the shared Chromium for the first test, and again if it has crashed. It ends with the process.
func sharedBrowser(path string) (context.Context, error) {
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.ctx != nil && shared.ctx.Err() == nil {
		return shared.ctx, nil
	}
	dir, err := os.MkdirTemp("", "siaran-chromium-")
	if err != nil {
		return nil, err
	}
	ctx, stop, err := launch(path, dir)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	shared.ctx = ctx
	harness.AtEnd(func() {
		stop()
		_ = os.RemoveAll(dir) // some of its files may still be open
	})
	return ctx, nil
}

func launch(path, dir string, more ...chromedp.ExecAllocatorOption) (_ context.Context, stop func(), err error) {
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(path), chromedp.UserDataDir(dir), chromedp.WindowSize(1280, 800),
		chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		// No flag for autoplay: it must work as in any browser.
		chromedp.Flag("headless", "new"), chromedp.Flag("hide-scrollbars", true),
		// Half of the usual pictures a second: encoding and showing them is most of what the tests cost.
		chromedp.Flag("use-fake-device-for-media-stream", "fps=10"), chromedp.Flag("use-fake-ui-for-media-stream", true),
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true),
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true), chromedp.Flag("disable-renderer-backgrounding", true),
		// Two pages of the address bar's own for each window, which cost as much as a page of ours.
		chromedp.Flag("disable-features", "WebUIOmniboxPopup,WebUIOmniboxAimPopup"),
		chromedp.Flag("force-color-profile", "srgb"), chromedp.Flag("lang", "en-GB"), chromedp.Flag("accept-lang", "en-GB"),
	}
	allocated, release := chromedp.NewExecAllocator(context.Background(), append(options, more...)...)
	ctx, cancel := chromedp.NewContext(allocated)
	stop = func() {
		cancel()
		chromedp.WaitClosed(ctx)
		release()
	}
	if err := chromedp.Do(ctx); err != nil {
		stop()
		return nil, nil, err
	}
	return ctx, stop, nil
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

// Trusting is the option that makes Chromium accept a certificate, for HTTPS and for relays over TLS.
func Trusting(t *testing.T, certificate string) chromedp.ExecAllocatorOption {
	t.Helper()
	text, err := os.ReadFile(certificate)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(sum[:]))
}
