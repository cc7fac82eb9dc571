package firebaseauth

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"siaran/web/access"
)

func TestVerify(t *testing.T) {
	g := newGoogle(t)
	c, err := g.verifier.Verify(t.Context(), g.token(t, "ana", map[string]any{"admin": "yes"})) // a word is no true
	if err != nil || c.Account != "firebase:ana" || c.Owner() != "firebase:ana" || c.IsAdmin() ||
		c.Stream != access.AllStreams {
		t.Fatalf("got %+v, %v", c, err)
	}
	for _, tt := range []struct {
		on   access.Target
		want error
	}{
		{access.Target{Stream: "cats", New: true}, nil},
		{access.Target{Stream: "cats", Owner: "firebase:ana"}, nil},
		{access.Target{Stream: "cats"}, access.ErrKeptByKeys},
	} {
		if err := c.Check(access.Publish, tt.on); !errors.Is(err, tt.want) {
			t.Errorf("%+v: %v, want %v", tt.on, err, tt.want)
		}
	}
	if c, err = g.verifier.Verify(t.Context(), g.token(t, "ana", map[string]any{"admin": true})); err != nil ||
		!c.IsAdmin() {
		t.Errorf("an administrator: %+v, %v", c, err)
	}
}

// TestRefusals: what is wrong with an account is asked once and remembered; what is wrong with a token is not asked at
// all.
func TestRefusals(t *testing.T) {
	g := newGoogle(t)
	now := time.Now().Unix()
	g.set("off", account{Disabled: true})
	// Later than any token here, however slow the machine.
	g.set("out", account{ValidSince: now + 3600})
	if _, err := g.verifier.Verify(t.Context(), g.token(t, "ana", nil)); err != nil { // the keys are known from now on
		t.Fatal(err)
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := g.token(t, "ana", map[string]any{"name": "another token"})
	for name, tt := range map[string]struct {
		token string
		want  error
		asks  int64
	}{
		"disabled":   {g.token(t, "off", nil), access.ErrDisabled, 1},
		"removed":    {g.token(t, "gone", nil), access.ErrDisabled, 1},
		"signed out": {g.token(t, "out", nil), access.ErrSignedOut, 1},
		"none":       {"", access.ErrNoToken, 0},
		"junk":       {"undefined", access.ErrBadToken, 0},
		"dots":       {"a.b.c", access.ErrBadToken, 0},
		"huge":       {strings.Repeat("a", maxToken+1), access.ErrBadToken, 0},
		"expired":    {g.token(t, "ana", map[string]any{"exp": now - 301}), access.ErrExpired, 0},
		"from later": {g.token(t, "ana", map[string]any{"iat": now + 400}), access.ErrBadToken, 0},
		"audience":   {g.token(t, "ana", map[string]any{"aud": "demo-other"}), access.ErrBadToken, 0},
		"issuer": {g.token(t, "ana", map[string]any{"iss": "https://securetoken.google.com/demo-other"}),
			access.ErrBadToken, 0},
		"no account":   {g.token(t, "", nil), access.ErrBadToken, 0},
		"long account": {g.token(t, strings.Repeat("x", 129), nil), access.ErrBadToken, 0},
		"unsigned": {sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", g.claims("ana", nil)),
			access.ErrBadToken, 0},
		"HS256":       {sign(t, jwt.SigningMethodHS256, []byte("k"), "k1", g.claims("ana", nil)), access.ErrBadToken, 0},
		"no key id":   {sign(t, jwt.SigningMethodRS256, g.key, "", g.claims("ana", nil)), access.ErrBadToken, 0},
		"unknown key": {sign(t, jwt.SigningMethodRS256, other, "k2", g.claims("ana", nil)), access.ErrBadToken, 0},
		"other key":   {sign(t, jwt.SigningMethodRS256, other, "k1", g.claims("ana", nil)), access.ErrBadToken, 0},
		"cut":         {good[:len(good)-8], access.ErrBadToken, 0},
	} {
		before := g.asked.Load()
		for range 3 {
			if c, err := g.verifier.Verify(t.Context(), tt.token); !errors.Is(err, tt.want) || c.Account != "" {
				t.Errorf("%s: got %+v, %v; want %v", name, c, err, tt.want)
			}
		}
		if asked := g.asked.Load() - before; asked != tt.asks {
			t.Errorf("%s: %d requests, want %d", name, asked, tt.asks)
		}
	}
	if text := g.log.String(); text != "" {
		t.Errorf("logged: %s", text)
	}
	if _, err := g.verifier.Verify(t.Context(), g.token(t, "ana", map[string]any{"exp": now - 200})); err != nil {
		t.Errorf("clocks may differ by five minutes, as in the SDK: %v", err)
	}
}

// TestManyRequestsAreOneLookup: those that come at once wait for the same answer, and later ones get it for a while.
func TestManyRequestsAreOneLookup(t *testing.T) {
	g := newGoogle(t)
	token := g.token(t, "ana", nil)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := g.verifier.Verify(t.Context(), token); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := g.looked.Load(); n != 1 {
		t.Errorf("%d look-ups, want 1", n)
	}
	g.set("ana", account{Disabled: true})
	if _, err := g.verifier.Verify(t.Context(), token); err != nil {
		t.Errorf("it is not remembered: %v", err)
	}
	g.verifier.now = func() time.Time { return time.Now().Add(rememberFor + time.Second) }
	if _, err := g.verifier.Verify(t.Context(), token); !errors.Is(err, access.ErrDisabled) {
		t.Errorf("disabled, %s ago: %v", rememberFor, err)
	}
}

// TestGoogleIsAway: nobody is told that the token is wrong, it does not take long, and it is over when Google is back.
func TestGoogleIsAway(t *testing.T) {
	for name, away := range map[string]func(*google, bool){
		"refused": func(g *google, yes bool) { g.down.Store(yes) },
		"hangs":   func(g *google, yes bool) { g.hang.Store(yes) },
		"quota": func(g *google, yes bool) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.refuse = ""
			if yes {
				g.refuse = `{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","message":"QUOTA_EXCEEDED"}}`
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGoogle(t)
			g.verifier.timeout = 200 * time.Millisecond
			token := g.token(t, "ana", nil)
			away(g, true)
			for range 2 {
				c, err := g.verifier.Verify(t.Context(), token)
				if !errors.Is(err, access.ErrUnreachable) || err.Error() != access.ErrUnreachable.Error() || c.Account != "" {
					t.Fatalf("got %+v, %v", c, err)
				}
			}
			if n := strings.Count(g.log.String(), "does not answer"); n != 1 {
				t.Errorf("logged %d times: %s", n, g.log)
			}
			away(g, false)
			g.verifier.timeout = verifyTime
			if _, err := g.verifier.Verify(t.Context(), token); err != nil {
				t.Fatal(err)
			}
			if text := g.log.String(); !strings.Contains(text, "answers again") || strings.Contains(text, token) {
				t.Errorf("logged: %s", text)
			}
		})
	}
}

func TestCheckAtTheStart(t *testing.T) {
	g := newGoogle(t)
	if err := g.verifier.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{
		`{"code":403,"status":"PERMISSION_DENIED","message":"INSUFFICIENT_PERMISSION : no"}`: "may not look up accounts",
		`{"code":403,"message":"CONFIGURATION_NOT_FOUND"}`:                                   "switch it on",
		`{"code":429,"status":"RESOURCE_EXHAUSTED","message":"QUOTA_EXCEEDED"}`:              access.ErrUnreachable.Error(),
	} {
		g.mu.Lock()
		g.refuse = `{"error":` + text + `}`
		g.mu.Unlock()
		if err := g.verifier.Check(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
	if _, err := Open(t.Context(), Config{}); err == nil {
		t.Error("opened without a project")
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m, now := newMemory(3), time.Now()
	key := func(i int) [sha256.Size]byte { return sha256.Sum256(fmt.Append(nil, i)) }
	for i := range 10 {
		m.put(key(i), answer{}, now.Add(time.Second))
		m.put(key(i), answer{claims: access.Claims{Account: "again"}}, now.Add(time.Second))
	}
	if len(m.entries) != 3 || m.order.Len() != 3 {
		t.Errorf("%d and %d kept, want 3", len(m.entries), m.order.Len())
	}
	if a, ok := m.get(key(9), now); !ok || a.claims.Account != "again" {
		t.Error("the newest is gone")
	}
	if _, ok := m.get(key(6), now); ok {
		t.Error("an old one is still there")
	}
	if _, ok := m.get(key(9), now.Add(time.Second)); ok || len(m.entries) != 2 {
		t.Error("one stays beyond its time")
	}
}

// FuzzVerify looks for tokens that are believed, or asked about, though nobody has signed them.
func FuzzVerify(f *testing.F) {
	for _, seed := range []string{"", ".", "a.b.c", "e30.e30.e30",
		"eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.eyJpc3MiOiJodHRwczovL3NlY3VyZXRva2VuLmdvb2dsZS5jb20vZGVtby1zaWFyYW4ifQ.AAAA"} {
		f.Add(seed)
	}
	g := newGoogle(f)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(sign(f, jwt.SigningMethodRS256, other, "k1", g.claims("ana", nil)))
	f.Add(sign(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "k1", g.claims("ana", nil)))
	f.Fuzz(func(t *testing.T, token string) {
		if c, err := g.verifier.Verify(context.Background(), token); err == nil {
			t.Errorf("took %q as %+v", token, c)
		}
		if g.looked.Load() != 0 {
			t.Errorf("%q made a look-up", token)
		}
	})
}
