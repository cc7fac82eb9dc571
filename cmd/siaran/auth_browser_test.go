package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"siaran/web/access/firebaseauth/emulator"
)

const (
	firebaseProject = "demo-siaran"
	webConfig       = `{"apiKey": "demo", "authDomain": "demo-siaran.firebaseapp.com", "projectId": "demo-siaran", "storageBucket": "of no use here"}`
	password        = "kopi tubruk"
)

// startWithAccounts runs a server whose studio signs people in, with Google's emulator of accounts.
func startWithAccounts(t *testing.T) (*testServer, *emulator.Emulator) {
	t.Helper()
	e := emulator.Start(t, firebaseProject)
	s := startServer(t, func(c *Config) {
		c.AuthConfig = AuthConfig{AuthFirebase: true, FirebaseWebConfig: webConfig, Dev: true}
		c.FirebaseProject = firebaseProject
	})
	if !strings.Contains(s.logs.String(), "DEVELOPMENT MODE") {
		t.Error("the log does not warn of the emulator")
	}
	return s, e
}

func (p *tab) signIn(email string) {
	p.t.Helper()
	p.wait("a place to sign in", `document.getElementById("sign-in")?.hidden === false`)
	p.fill("email", email)
	p.fill("password", password)
	p.clickID("sign-in-go")
	p.wait("the desk", `!document.getElementById("desk").hidden && document.getElementById("sign-in").hidden`)
}

func (p *tab) broadcastAs(name, title string) {
	p.t.Helper()
	p.fill("name", name)
	p.fill("title", title)
	p.clickID("go-live")
}

// says waits for a text in the place where the page tells of trouble.
func (p *tab) says(id, text string) {
	p.t.Helper()
	p.wait(text, `document.getElementById("`+id+`").textContent.includes("`+text+`")`)
}

// TestSignInAndGoLive: by e-mail, with nothing but a browser. The name is then the account's: another account is told
// to choose another one, an administrator's gets in.
func TestSignInAndGoLive(t *testing.T) {
	s, accounts := startWithAccounts(t)
	accounts.SignUp("ana@example.org", password)
	accounts.SignUp("budi@example.org", password)
	admin, _ := accounts.SignUp("adm@example.org", password)
	accounts.Admin(admin)
	b := startBrowser(t)

	ana := b.open(s.URL + "/studio")
	ana.wait("a place to sign in", `document.getElementById("sign-in")?.hidden === false && !document.getElementById("gate").hidden`)
	ana.fill("email", "ana@example.org")
	ana.fill("password", "wrong one")
	ana.clickID("sign-in-go")
	ana.says("sign-in-say", "E-mail or password is wrong.")
	ana.signIn("ana@example.org")
	ana.broadcastAs("kopi", "Kopi sore")
	ana.waitState("live")
	ana.says("signed-in", "Signed in as ana@example.org")
	ana.wait("its own name", `document.querySelector('#own-names [data-name="kopi"]')`)

	dashboard := b.open(s.URL + "/")
	dashboard.wait("a card", `document.querySelector('[data-stream="kopi"]')`)

	// Its token is renewed before it runs out, and used from then on.
	eval[bool](ana, `(Date.now = ((now) => () => now() + 56 * 60_000)(Date.now), dispatchEvent(new Event("online")), true)`)
	ana.wait("another token", `performance.getEntriesByType("resource").some((r) => r.name.includes("securetoken.googleapis.com/v1/token"))`)
	ana.fill("title", "Kopi malam")
	dashboard.wait("the new title", `document.querySelector('[data-stream="kopi"]').textContent.includes("Kopi malam")`)

	budi := b.open(s.URL + "/studio")
	budi.signIn("budi@example.org")
	budi.broadcastAs("kopi", "Mine")
	budi.waitState("error")
	budi.says("trouble", "This name belongs to another account.")
	budi.broadcastAs("teh", "Teh pagi")
	budi.waitState("live")

	keeper := b.open(s.URL + "/studio")
	keeper.signIn("adm@example.org")
	keeper.broadcastAs("kopi", "Kopi sore")
	keeper.waitState("error")
	keeper.wait("the way out", `!document.getElementById("end-other").hidden`)
	keeper.clickID("end-other")
	keeper.waitState("live")
	ana.waitState("error")
	ana.says("trouble", "ended or continued elsewhere")

	// Who comes with a key goes on with it, and nothing of Firebase is loaded.
	key := b.goLive(s, "susu", "Susu malam")
	loaded := eval[[]string](key, `performance.getEntriesByType("resource").map((r) => new URL(r.name).pathname)`)
	if slices.ContainsFunc(loaded, func(path string) bool { return strings.Contains(path, "firebase") }) {
		t.Errorf("loaded %q", loaded)
	}
	for _, p := range []*tab{ana, budi, keeper, dashboard, key} {
		p.checkQuiet()
	}
}

// TestAccountInTheStudio: making one, coming back, a key for OBS, signing out, and an account that has been disabled.
func TestAccountInTheStudio(t *testing.T) {
	s, accounts := startWithAccounts(t)
	b := startBrowser(t)
	p := b.open(s.URL + "/studio")
	p.wait("a place to sign in", `document.getElementById("sign-in")?.hidden === false`)
	for _, l := range looks {
		p.shoot("sign-in", l)
	}
	p.look(looks[0])
	p.clickID("sign-in-go")
	p.wait("the browser says what is missing", `document.activeElement.id === "email"`)
	p.fill("email", "citra@example.org")
	p.fill("password", password)
	p.clickID("sign-in-new")
	p.wait("the desk", `!document.getElementById("desk").hidden`)
	p.fill("name", "senja")
	p.click(`document.querySelector("#obs summary")`)
	p.clickID("make-key")
	p.wait("a key", `!document.getElementById("obs-token").hidden`)
	key := eval[string](p, `document.getElementById("obs-token").getAttribute("value")`)
	if res := s.request(t, "GET", s.URL+"/api/tokens/self", key, "", ""); res.StatusCode != http.StatusOK || !strings.Contains(res.body, `"senja"`) || !strings.Contains(res.body, `"expiresAt":null`) {
		t.Errorf("the key: %d %s", res.StatusCode, res.body)
	}

	p.visit(s.URL + "/studio")
	p.wait("still signed in", `!document.getElementById("desk").hidden && document.getElementById("name").value === "senja"`)
	for _, l := range []look{looks[0], looks[3]} {
		p.shoot("signed-in", l)
	}
	p.look(looks[0])
	p.clickID("sign-out")
	p.wait("signed out", `!document.getElementById("sign-in").hidden && document.getElementById("desk").hidden`)

	token := accounts.SignIn("citra@example.org", password)
	if res := s.request(t, "GET", s.URL+"/api/streams?status=all&owner=me", token, "", ""); !strings.Contains(res.body, `"senja"`) {
		t.Errorf("its streams: %s", res.body)
	}
	uid := eval[string](p, `JSON.parse(atob("`+strings.Split(token, ".")[1]+`".replaceAll("-", "+").replaceAll("_", "/"))).sub`)
	accounts.Disable(uid)
	p.fill("email", "citra@example.org")
	p.fill("password", password)
	p.clickID("sign-in-go")
	p.says("sign-in-say", "This account has been disabled.")
	p.clickID("language")
	p.says("sign-in-say", "Akun ini dinonaktifkan.")
	p.wait("no word without a translation", `!/\b[a-z]+[.-][a-z]+[A-Za-z.]*\b/.test(document.getElementById("sign-in").innerText)`)
	p.shoot("sign-in-id", looks[2])
	p.look(looks[0])

	accounts.SignUp("dewi@example.org", password)
	p.signIn("dewi@example.org")
	p.says("signed-in", "Masuk sebagai dewi@example.org")
	p.says("sign-out", "Keluar")
	p.checkQuiet()
}
