package browser

import (
	"crypto/rand"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// startFront starts what leads visitors to the server that is in charge.
func startFront(t *testing.T) (address string, charge *atomic.Pointer[url.URL]) {
	t.Helper()
	charge = &atomic.Pointer[url.URL]{}
	front := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(charge.Load())
			r.Out.Host = r.In.Host
		},
		FlushInterval: -1,
	})
	t.Cleanup(func() {
		front.CloseClientConnections()
		front.Close()
	})
	return front.URL, charge
}

// TestViewersLeaveADeadServer: a page comes to the front, and from there to an edge. The edge is killed. The page, and
// a player on another site, go on at the front, which leads to another edge.
func TestViewersLeaveADeadServer(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "shared.key")
	key := make([]byte, 32)
	rand.Read(key)
	if err := os.WriteFile(secret, key, 0o600); err != nil {
		t.Fatal(err)
	}
	origin := harness.Start(t, func(c *server.Config) { c.SecretFile = []string{secret} })
	origin.PublishDemo(t, server.DemoStream)
	front, charge := startFront(t)
	address := testutil.FreeAddress(t)
	first := harness.StartCommand(t, exec.Command(harness.Command(t), "serve", "--dev", "--listen", address,
		"--udp=127.0.0.1:0", "--turn=", "--node=first", "--parent", origin.URL, "--data", t.TempDir(),
		"--secret-file", secret,
		"--base-url", "http://"+address, "--front-url", front))
	second := harness.Start(t, func(c *server.Config) {
		c.Listen, c.Node, c.Parent, c.FrontURL = testutil.FreeAddress(t), "second", origin.URL, front
		c.BaseURL, c.SecretFile = "http://"+c.Listen, []string{secret}
	})
	in := func(s *harness.Server) {
		t.Helper()
		at, err := url.Parse(s.URL)
		if err != nil {
			t.Fatal(err)
		}
		charge.Store(at)
	}
	in(&first.Server)
	token := origin.Token(t, string(server.DemoStream), access.Watch)
	b := chromium.Start(t)
	page := b.Open(front + "/watch/demo?a=1#token=" + token)
	page.Wait("it is at the edge", `location.origin === "http://`+address+`"`)
	page.WaitMedia()
	guest := b.Open(playerElsewhere(&first.Server, t, `demo" front="`+front))
	guest.WaitMedia()
	in(second)
	first.Kill(t)
	killed := time.Now()
	page.Wait("it is at the other edge", `location.href === "`+second.Config.BaseURL+`/watch/demo?a=1"`)
	page.WaitMedia()
	t.Logf("it plays again %v after the server was killed", time.Since(killed).Round(time.Millisecond))
	if got := chromium.Eval[string](page, `sessionStorage.getItem("siaran-token-watch-demo")`); got != token {
		t.Errorf("it has the token %q", got)
	}
	guest.Wait("the player is at the front", chromium.Player+`.getAttribute("server") === "`+front+`"`)
	guest.WaitMedia()
}
