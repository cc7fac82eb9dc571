package main

import (
	"strings"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestLifeOfTokens: one that nobody has given a time ends by itself, and one without an end is asked for in words.
func TestLifeOfTokens(t *testing.T) {
	dir := t.TempDir()
	if _, _, err := access.OpenSecret(dir); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]time.Duration{
		"--stream cats --scope watch":                 day,
		"--stream * --scope watch":                    day,
		"--stream cats --scope publish":               365 * day,
		"--stream cats --scope watch --scope publish": 365 * day,
		"--stream * --scope publish":                  30 * day,
		"--stream cats --scope admin":                 30 * day,
		"--stream * --scope admin":                    30 * day,
		"--stream cats --scope watch --ttl 1h30m":     90 * time.Minute,
		"--stream * --scope admin --ttl never":        0,
		"--stream cats --scope publish --ttl 0":       0,
	} {
		code, out, stderr := command(t.Context(), append([]string{"token", "--data", dir}, strings.Fields(args)...)...)
		token, rest, _ := strings.Cut(out, "\n")
		if code != 0 || rest != "" || stderr != "" {
			t.Fatalf("%s: %d, %q, %q", args, code, out, stderr)
		}
		secret, _, err := access.OpenSecret(dir)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := secret.Verify(t.Context(), token)
		if err != nil {
			t.Fatalf("%s: %v", args, err)
		}
		if claims.Expires.IsZero() != (want == 0) {
			t.Errorf("%s: ends at %v, want %s", args, claims.Expires, want)
		}
		if got := time.Until(claims.Expires); want > 0 && (got > want || got < want-10*time.Minute) {
			t.Errorf("%s: good for %s, want %s", args, got, want)
		}
	}
}

// TestRevokeAllCommand takes back what is for all streams, while the server runs.
func TestRevokeAllCommand(t *testing.T) {
	s := harness.Start(t)
	cats := s.Token(t, "cats", access.Publish)
	good := func(token string) bool { return s.Call(t, "GET", "/api/tokens/self", token, "") == 200 }
	if !good(s.Admin) || !good(cats) {
		t.Fatal("the tokens are not valid")
	}
	code, out, stderr := command(t.Context(), "token", "--data", s.Data, "--revoke-all")
	if code != 0 || out != "" || !strings.Contains(stderr, "revoked") {
		t.Errorf("%d %q %q", code, out, stderr)
	}
	if good(s.Admin) || !good(cats) {
		t.Error("the wrong tokens were revoked")
	}
	code, out, _ = command(t.Context(), "token", "--data", s.Data, "--revoke-all", "--stream", "*", "--scope", "admin")
	if code != 0 || !good(strings.TrimSpace(out)) {
		t.Errorf("the new token: %d %q", code, out)
	}
}
