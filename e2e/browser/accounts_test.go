package browser

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/e2e/harness/chromium"
	"siaran/web/access/firebaseauth/emulator"
)

// sharedAccounts is the emulator of accounts that all tests share: its start costs several seconds of a processor.
var sharedAccounts struct {
	mu   sync.Mutex
	host string
}

// startWithAccounts runs a server whose studio signs people in, with Google's emulator of accounts.
func startWithAccounts(t *testing.T) (*harness.Server, *emulator.Emulator) {
	t.Helper()
	sharedAccounts.mu.Lock()
	defer sharedAccounts.mu.Unlock()
	if sharedAccounts.host == "" {
		host, stop := emulator.Launch(t, harness.FirebaseProject)
		harness.AtEnd(stop)
		os.Setenv(emulator.Variable, host) // for good, so that tests can run in parallel
		sharedAccounts.host = host
	}
	s := harness.Start(t, func(c *server.Config) {
		c.AuthConfig = server.AuthConfig{AuthFirebase: true, FirebaseWebConfig: harness.FirebaseWebConfig, Dev: true}
		c.FirebaseProject = harness.FirebaseProject
	})
	if !strings.Contains(s.Logs.String(), "DEVELOPMENT MODE") {
		t.Error("the log does not warn of the emulator")
	}
	return s, emulator.Of(t, sharedAccounts.host, harness.FirebaseProject)
}

func signIn(p *chromium.Tab, email string) {
	p.T.Helper()
	p.Wait("a place to sign in", `document.getElementById("sign-in")?.hidden === false`)
	p.Fill("email", email)
	p.Fill("password", harness.AccountPassword)
	p.ClickID("sign-in-go")
	p.Wait("the desk", `!document.getElementById("desk").hidden && document.getElementById("sign-in").hidden`)
}

func broadcastAs(p *chromium.Tab, name, title string) {
	p.T.Helper()
	p.Fill("name", name)
	p.Fill("title", title)
	p.ClickID("go-live")
}

// says waits for a text in the place where the page tells of trouble.
func says(p *chromium.Tab, id, text string) {
	p.T.Helper()
	p.Wait(text, `document.getElementById("`+id+`").textContent.includes("`+text+`")`)
}

// TestSignInAndGoLive: by e-mail, with nothing but a browser. The name is then the account's: another account is told
// to choose another one, an administrator's gets in.
func TestSignInAndGoLive(t *testing.T) {
	t.Parallel()
	s, accounts := startWithAccounts(t)
	accounts.SignUp("ana@example.org", harness.AccountPassword)
	accounts.SignUp("budi@example.org", harness.AccountPassword)
	admin, _ := accounts.SignUp("adm@example.org", harness.AccountPassword)
	accounts.Admin(admin)
	b := chromium.Start(t)

	ana := b.Open(s.URL + "/studio")
	ana.Wait("a place to sign in",
		`document.getElementById("sign-in")?.hidden === false && !document.getElementById("gate").hidden`)
	ana.Fill("email", "ana@example.org")
	ana.Fill("password", "wrong one")
	ana.ClickID("sign-in-go")
	says(ana, "sign-in-say", "E-mail or password is wrong.")
	signIn(ana, "ana@example.org")
	broadcastAs(ana, "kopi", "Kopi sore")
	ana.WaitState("live")
	says(ana, "signed-in", "Signed in as ana@example.org")
	ana.Wait("its own name", `document.querySelector('#own-names [data-name="kopi"]')`)

	dashboard := b.Open(s.URL + "/")
	dashboard.Wait("a card", `document.querySelector('[data-stream="kopi"]')`)

	// Its token is renewed before it runs out, and used from then on.
	chromium.Eval[bool](ana,
		`(Date.now = ((now) => () => now() + 56 * 60_000)(Date.now), dispatchEvent(new Event("online")), true)`)
	ana.Wait("another token",
		`performance.getEntriesByType("resource").some((r) => r.name.includes("securetoken.googleapis.com/v1/token"))`)
	ana.Fill("title", "Kopi malam")
	dashboard.Wait("the new title", `document.querySelector('[data-stream="kopi"]').textContent.includes("Kopi malam")`)

	budi := b.Open(s.URL + "/studio")
	signIn(budi, "budi@example.org")
	broadcastAs(budi, "kopi", "Mine")
	budi.WaitState("error")
	says(budi, "trouble", "This name belongs to another account.")
	broadcastAs(budi, "teh", "Teh pagi")
	budi.WaitState("live")

	keeper := b.Open(s.URL + "/studio")
	signIn(keeper, "adm@example.org")
	broadcastAs(keeper, "kopi", "Kopi sore")
	keeper.WaitState("error")
	keeper.Wait("the way out", `!document.getElementById("end-other").hidden`)
	keeper.ClickID("end-other")
	keeper.WaitState("live")
	ana.WaitState("error")
	says(ana, "trouble", "ended or continued elsewhere")

	// Who comes with a key goes on with it, and nothing of Firebase is loaded.
	key := b.GoLive(s, "susu", "Susu malam")
	loaded := chromium.Eval[[]string](key, `performance.getEntriesByType("resource").map((r) => new URL(r.name).pathname)`)
	if slices.ContainsFunc(loaded, func(path string) bool { return strings.Contains(path, "firebase") }) {
		t.Errorf("loaded %q", loaded)
	}
	for _, p := range []*chromium.Tab{ana, budi, keeper, dashboard, key} {
		p.CheckConsole()
	}
}

// TestAccountInTheStudio: making one, coming back, a key for OBS, signing out, and an account that has been disabled.
func TestAccountInTheStudio(t *testing.T) {
	t.Parallel()
	s, accounts := startWithAccounts(t)
	b := chromium.Start(t)
	p := b.Open(s.URL + "/studio")
	p.Wait("a place to sign in", `document.getElementById("sign-in")?.hidden === false`)
	shoot(p, "sign-in", chromium.Viewports...)
	p.ClickID("sign-in-go")
	p.Wait("the browser says what is missing", `document.activeElement.id === "email"`)
	p.Fill("email", "citra@example.org")
	p.Fill("password", harness.AccountPassword)
	p.ClickID("sign-in-new")
	p.Wait("the desk", `!document.getElementById("desk").hidden`)
	p.Fill("name", "senja")
	p.Click(`document.querySelector("#obs summary")`)
	p.ClickID("make-key")
	p.Wait("a key", `!document.getElementById("obs-token").hidden`)
	key := chromium.Eval[string](p, `document.getElementById("obs-token").getAttribute("value")`)
	if res := s.Request(t, "GET", s.URL+"/api/tokens/self", key, "", ""); res.StatusCode != http.StatusOK ||
		!strings.Contains(res.Body, `"senja"`) || !strings.Contains(res.Body, `"expiresAt":null`) {
		t.Errorf("the key: %d %s", res.StatusCode, res.Body)
	}

	p.Navigate(s.URL + "/studio")
	p.Wait("still signed in",
		`!document.getElementById("desk").hidden && document.getElementById("name").value === "senja"`)
	shoot(p, "signed-in", chromium.Viewports[0], chromium.Viewports[3])
	p.ClickID("sign-out")
	p.Wait("signed out", `!document.getElementById("sign-in").hidden && document.getElementById("desk").hidden`)

	token := accounts.SignIn("citra@example.org", harness.AccountPassword)
	if res := s.Request(t, "GET", s.URL+"/api/streams?status=all&owner=me", token, "", ""); !strings.Contains(res.Body,
		`"senja"`) {
		t.Errorf("its streams: %s", res.Body)
	}
	uid := chromium.Eval[string](p, `JSON.parse(atob("`+strings.Split(token, ".")[1]+
		`".replaceAll("-", "+").replaceAll("_", "/"))).sub`)
	accounts.Disable(uid)
	p.Fill("email", "citra@example.org")
	p.Fill("password", harness.AccountPassword)
	p.ClickID("sign-in-go")
	says(p, "sign-in-say", "This account has been disabled.")
	p.ClickID("language")
	says(p, "sign-in-say", "Akun ini dinonaktifkan.")
	p.Wait("no word without a translation",
		`!/\b[a-z]+[.-][a-z]+[A-Za-z.]*\b/.test(document.getElementById("sign-in").innerText)`)
	shoot(p, "sign-in-id", chromium.Viewports[2])

	accounts.SignUp("dewi@example.org", harness.AccountPassword)
	signIn(p, "dewi@example.org")
	says(p, "signed-in", "Masuk sebagai dewi@example.org")
	says(p, "sign-out", "Keluar")
	p.CheckConsole()
}
