package web

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"siaran"
	"siaran/internal/testutil"
	"siaran/web/access"
)

// accounts accepts "account:NAME:ANYTHING" in addition to the tokens of the secret.
type accounts struct{ secret *access.Secret }

func (a accounts) Recheck(ctx context.Context, c access.Claims) (access.Claims, error) {
	if c.Account == "" {
		return a.secret.Recheck(ctx, c)
	}
	return c, nil
}

func (a accounts) Verify(ctx context.Context, token string) (access.Claims, error) {
	kind, rest, _ := strings.Cut(token, ":")
	name, _, _ := strings.Cut(rest, ":")
	c := access.Claims{Stream: access.AllStreams, Scopes: []access.Scope{access.Publish},
		Account: "firebase:" + name, Expires: time.Now().Add(time.Hour)}
	switch {
	case kind != "account":
		return a.secret.Verify(ctx, token)
	case name == "disabled":
		return access.Claims{}, access.ErrDisabled
	case name == "out":
		return access.Claims{}, access.ErrSignedOut
	case name == "late":
		return access.Claims{}, access.ErrExpired
	case name == "away":
		return access.Claims{}, access.ErrUnreachable
	case name == "adm":
		c.Scopes = []access.Scope{access.Admin}
	}
	return c, nil
}

func withAccounts(c *Config) { c.Tokens = accounts{c.Secret} }

// TestAnAccountKeepsItsName: the first account that publishes owns the name, with whatever token. No other account gets
// in, except an administrator's, and keys of the stream go on working.
func TestAnAccountKeepsItsName(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	first := s.onAir("kopi", "account:ana:1")
	stream, err := s.listing.Stream(t.Context(), "kopi")
	if err != nil || stream.Owner != "firebase:ana" {
		t.Fatalf("owner %q, %v", stream.Owner, err)
	}
	again := s.broadcaster()
	again.mustOpen("/whip/kopi", "account:ana:2")
	testutil.Eventually(t, "the token of the next hour takes over", func() bool {
		return s.do(call{method: "GET", path: first.location}).StatusCode == 404
	})
	p := wantProblem(t, s.broadcaster().open("/whip/kopi", "account:budi:1"), 403)
	if p.Code != "not-owner" || !strings.Contains(p.Detail, "another account") {
		t.Errorf("told %+v", p)
	}
	for _, tt := range []struct {
		call
		owner int
	}{
		{call{method: "PATCH", path: "/api/streams/kopi", body: `{"title":"x"}`}, 200},
		{call{method: "POST", path: "/api/streams/kopi/keys"}, 201},
		{call{method: "GET", path: "/api/streams/kopi/viewers"}, 200},
		{call{method: "GET", path: "/api/streams/kopi/health"}, 200},
		{call{method: "DELETE", path: "/api/streams/kopi/viewers/nobody"}, 404},
		{call{method: "DELETE", path: again.location}, 200},
	} {
		c := tt.with(jsonBody...)
		c.token = "account:budi:1"
		wantProblem(t, s.do(c), 403)
		c.token = "account:ana:3"
		if r := s.do(c); r.StatusCode != tt.owner {
			t.Errorf("the owner: %s %s: %d, want %d: %s", c.method, c.path, r.StatusCode, tt.owner, r.body)
		}
	}
	s.onAir("kopi", "account:ana:4")
	wantProblem(t, s.do(call{method: "DELETE", path: "/api/streams/kopi/broadcast", token: "account:budi:1"}), 403)
	if r := s.do(call{method: "DELETE", path: "/api/streams/kopi/broadcast",
		token: "account:adm:1"}); r.StatusCode != 204 {
		t.Errorf("an administrator: %d %s", r.StatusCode, r.body)
	}
}

// TestKeysOfAnAccountsStream: the owner makes a key for OBS, which outlives the hour of the token that made it.
func TestKeysOfAnAccountsStream(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	var key struct {
		Token     string
		ExpiresAt *time.Time
	}
	if r := s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:ana:1"}); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	} else {
		s.must(json.Unmarshal([]byte(r.body), &key))
	}
	if key.ExpiresAt != nil {
		t.Errorf("the key runs out at %v", key.ExpiresAt)
	}
	wantProblem(t, s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:budi:1"}), 403)
	obs := s.onAir("kopi", key.Token)
	wantProblem(t, s.broadcaster().open("/whip/kopi", "account:ana:1"), 409)
	if r := s.do(call{method: "DELETE", path: obs.location, token: "account:ana:1"}); r.StatusCode != 200 {
		t.Errorf("the owner ends it: %d %s", r.StatusCode, r.body)
	}
	if r := s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:ana:1"}); r.StatusCode != 201 {
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, s.broadcaster().open("/whip/kopi", key.Token), 401)
}

// TestNamesRunWithKeys: no account can take them until an administrator gives them away.
func TestNamesRunWithKeys(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	s.onAir("kopi", s.publisher("kopi"))
	if p := wantProblem(t, s.broadcaster().open("/whip/kopi", "account:ana:1"), 403); p.Code != "kept-by-keys" {
		t.Errorf("told %+v", p)
	}
	give := func(token, owner string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/kopi", token: token,
			body: `{"owner":"` + owner + `"}`}.with(jsonBody...))
	}
	wantProblem(t, give("account:ana:1", "firebase:ana"), 403)
	wantProblem(t, give(s.publisher("kopi"), "firebase:ana"), 403)
	wantProblem(t, give(s.admin, "ana"), 422)
	if r := give("account:adm:1", "firebase:ana"); r.StatusCode != 200 || strings.Contains(r.body, "firebase:") {
		t.Errorf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, give("account:ana:1", "firebase:budi"), 403)
	s.listed("kopi", siaran.StatusOffline) // the key that it was live with is void
	s.onAir("kopi", "account:ana:1")
}

// TestWritingAboutANameKeepsIt: the studio stores the title before it publishes.
func TestWritingAboutANameKeepsIt(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	edit := func(token string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/kopi", token: token,
			body: `{"title":"Kopi sore","visibility":"private"}`}.with(jsonBody...))
	}
	wantProblem(t, s.do(call{method: "PATCH", path: "/api/streams/kopi", token: "account:budi:1",
		body: `{"visibility":"none"}`}.with(jsonBody...)), 422)
	wantProblem(t, s.do(call{method: "POST", path: "/api/streams/kopi/keys", token: "account:budi:1",
		body: `{`}.with(jsonBody...)), 400)
	if r := edit("account:ana:1"); r.StatusCode != 200 { // what was wrong has kept nothing
		t.Fatalf("%d %s", r.StatusCode, r.body)
	}
	wantProblem(t, edit("account:budi:1"), 403)
	wantProblem(t, s.broadcaster().open("/whip/kopi", "account:budi:1"), 403)

	// It is private: its owner and administrators see it and watch, another account does not.
	for token, want := range map[string]int{"account:ana:2": 200, "account:adm:1": 200, "account:budi:1": 403, "": 401} {
		if r := s.do(call{method: "GET", path: "/api/streams/kopi", token: token}); r.StatusCode != want {
			t.Errorf("%q: %d, want %d", token, r.StatusCode, want)
		}
	}
	s.onAir("kopi", "account:ana:3")
	s.viewer().mustOpen("/whep/kopi", "account:ana:4")
	s.viewer().mustOpen("/whep/kopi", "account:adm:4")
	wantProblem(t, s.viewer().open("/whep/kopi", "account:budi:1"), 403)

	list := func(token string) string {
		var body struct{ Streams []streamView }
		r := s.get("/api/streams?status=all&owner=me", token, &body)
		if r.StatusCode != 200 {
			return r.Status
		}
		var names []string
		for _, v := range body.Streams {
			names = append(names, string(v.Name))
		}
		return strings.Join(names, " ")
	}
	s.must2(s.listing.Edit(t.Context(), "teh", siaran.StreamEdit{Owner: new("firebase:budi")}))
	if ana, budi := list("account:ana:1"), list("account:budi:1"); ana != "kopi" || budi != "teh" {
		t.Errorf("ana has %q, budi %q", ana, budi)
	}
	if key, nobody := list(s.admin), list(""); !strings.HasPrefix(key, "403") || !strings.HasPrefix(nobody, "401") {
		t.Errorf("a key %q, nobody %q", key, nobody)
	}
	wantProblem(t, s.do(call{method: "GET", path: "/api/streams?owner=firebase:ana"}), 400)
}

// TestNamesOfOneAccountAreBounded, whether it publishes or edits. The names that it owns already stay usable.
func TestNamesOfOneAccountAreBounded(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts, func(c *Config) { c.Limits.Names = 2 })
	edit := func(name, token string) reply {
		return s.do(call{method: "PATCH", path: "/api/streams/" + name, token: token, body: `{}`}.with(jsonBody...))
	}
	for _, name := range []string{"one", "two", "one"} {
		if r := edit(name, "account:ana:1"); r.StatusCode != 200 {
			t.Fatalf("%d %s", r.StatusCode, r.body)
		}
	}
	if p := wantProblem(t, edit("three", "account:ana:1"), 403); p.Code != "too-many-names" {
		t.Errorf("told %+v", p)
	}
	wantProblem(t, s.broadcaster().open("/whip/three", "account:ana:1"), 403)
	s.onAir("two", "account:ana:1")
	for i, token := range []string{"account:budi:1", "account:adm:1", s.admin} {
		for _, name := range []string{"a", "b", "c"} {
			if i == 0 && name == "c" { // an account like any other
				continue
			}
			if r := edit(name+string(rune(48+i)), token); r.StatusCode != 200 {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
		}
	}
}

// TestAccountsThatAreNotLetIn: each gets its reason, and an outage of the sign-in service is not the token's fault.
func TestAccountsThatAreNotLetIn(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	s.must2(s.listing.Edit(t.Context(), "rahasia", siaran.StreamEdit{Visibility: new(siaran.VisibilityPrivate)}))
	for account, want := range map[string]struct {
		status int
		code   string
	}{
		"disabled": {403, "account-disabled"}, "out": {401, "signed-out"}, "away": {503, "sign-in-unreachable"},
	} {
		token := "account:" + account + ":1"
		for _, r := range []reply{
			s.broadcaster().open("/whip/kopi", token), s.viewer().open("/whep/rahasia", token),
			s.do(call{method: "PATCH", path: "/api/streams/kopi", token: token,
				body: `{}`}.with(jsonBody...)), s.get("/api/tokens/self", token, nil),
		} {
			p := wantProblem(t, r, want.status)
			if p.Code != want.code {
				t.Errorf("%s: told %+v", account, p)
			}
			if (r.Header.Get("Retry-After") != "") != (want.status == http.StatusServiceUnavailable) {
				t.Errorf("%s: Retry-After %q", account, r.Header.Get("Retry-After"))
			}
		}
	}
	if _, err := s.listing.Stream(t.Context(), "kopi"); err == nil {
		t.Error("who is refused leaves a stream behind")
	}
	b := s.onAir("teh", "account:ana:1")
	for _, token := range []string{"account:away:1", "account:late:1"} { // the address of the session is enough
		if r := s.do(call{method: "GET", path: b.location, token: token}); r.StatusCode != 204 {
			t.Errorf("%s: %d %s", token, r.StatusCode, r.body)
		}
	}
	wantProblem(t, s.do(call{method: "GET", path: b.location, token: "account:disabled:1"}), 403)
	s.viewer().mustOpen("/whep/teh", "account:away:1") // a public stream needs no token
	var self struct {
		Stream, Account string
		Scopes          []access.Scope
	}
	s.get("/api/tokens/self", "account:ana:1", &self)
	if self.Stream != "*" || self.Account != "firebase:ana" || len(self.Scopes) != 1 || self.Scopes[0] != access.Publish {
		t.Errorf("told of itself: %+v", self)
	}
	wantProblem(t, s.broadcaster().open("/whip", "account:ana:1"), 403)
}

// TestAccountsWithoutTheListing: a known owner can go on. A new name cannot be recorded, so nobody gets it.
func TestAccountsWithoutTheListing(t *testing.T) {
	t.Parallel()
	s := start(t, withAccounts)
	s.onAir("kopi", "account:ana:1")
	s.must(s.listing.Close())
	s.broadcaster().mustOpen("/whip/kopi", "account:ana:2")
	wantProblem(t, s.broadcaster().open("/whip/kopi", "account:budi:2"), 403)
	wantProblem(t, s.broadcaster().open("/whip/baru", "account:budi:2"), 503)
}

func TestStudioWithSignIn(t *testing.T) {
	t.Parallel()
	plain := start(t)
	r := plain.do(call{method: "GET", path: "/studio"})
	if strings.Contains(r.body, "siaran-sign-in") ||
		strings.Contains(r.Header.Get("Content-Security-Policy"), "google") ||
		r.Header.Get("Cross-Origin-Opener-Policy") != "same-origin" {
		t.Errorf("without sign-in: %v", r.Header)
	}
	s := start(t, withAccounts, func(c *Config) {
		c.SignIn = &SignIn{APIKey: "AIza-x_1", AuthDomain: "demo.firebaseapp.com", Project: "demo",
			Emulator: "127.0.0.1:9099"}
	})
	r = s.do(call{method: "GET", path: "/studio"})
	meta := `<meta name="siaran-sign-in" content="{&#34;apiKey&#34;:&#34;AIza-x_1&#34;,` +
		`&#34;authDomain&#34;:&#34;demo.firebaseapp.com&#34;`
	if !strings.Contains(r.body, meta) {
		t.Errorf("the page does not tell: %s", r.body)
	}
	policy := r.Header.Get("Content-Security-Policy")
	for _, part := range []string{
		"; script-src 'self' https://apis.google.com;",
		"; connect-src 'self' https://identitytoolkit.googleapis.com https://securetoken.googleapis.com " +
			"http://127.0.0.1:9099;",
		"; frame-src https://demo.firebaseapp.com http://127.0.0.1:9099;", "; frame-ancestors 'none'", "default-src 'none';",
	} {
		if !strings.Contains(policy, part) {
			t.Errorf("the policy has no %q: %s", part, policy)
		}
	}
	if r.Header.Get("Cross-Origin-Opener-Policy") != "same-origin-allow-popups" ||
		!strings.Contains(r.Header.Get("Permissions-Policy"), "camera=(self)") {
		t.Errorf("%v", r.Header)
	}
	watch := s.do(call{method: "GET", path: "/watch/cats"}).Header.Get("Content-Security-Policy")
	if strings.Contains(watch, "google") {
		t.Errorf("other pages: %s", watch)
	}
	for name, in := range map[string]SignIn{
		"no key":   {AuthDomain: "a.b", Project: "demo"},
		"domain":   {APIKey: "x", AuthDomain: "a.b; script-src *", Project: "demo"},
		"address":  {APIKey: "x", AuthDomain: "https://a.b", Project: "demo"},
		"project":  {APIKey: "x", AuthDomain: "a.b", Project: "Demo/1"},
		"emulator": {APIKey: "x", AuthDomain: "a.b", Project: "demo", Emulator: "a b"},
	} {
		if in.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
