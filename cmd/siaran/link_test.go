package main

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"siaran/e2e/harness"
	"siaran/web/access"
)

// TestLinkCommand: a link opens a private stream, until it has expired or the stream's keys are renewed.
func TestLinkCommand(t *testing.T) {
	s := harness.Start(t)
	if code := s.Call(t, "PATCH", "/api/streams/cats", s.Admin, `{"visibility": "private"}`); code != 200 {
		t.Fatal(code)
	}
	link := func(args ...string) *url.URL {
		t.Helper()
		code, out, stderr := command(t.Context(), append([]string{"link", "--data", s.Data, "--stream", "cats"}, args...)...)
		u, err := url.Parse(strings.TrimSuffix(out, "\n"))
		if code != 0 || err != nil || stderr != "" || strings.Contains(out, "?") {
			t.Fatalf("%d %q %q", code, out, stderr)
		}
		return u
	}
	u := link("--ttl", "90m", "--base-url", "https://live.example.org/")
	if u.Scheme != "https" || u.Host != "live.example.org" || u.Path != "/watch/cats" {
		t.Errorf("%s", u)
	}
	token, ok := strings.CutPrefix(u.Fragment, "token=")
	secret, _, err := access.OpenSecret(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := secret.Verify(t.Context(), token)
	if !ok || err != nil || claims.Stream != "cats" || len(claims.Scopes) != 1 || claims.Scopes[0] != access.Watch {
		t.Fatalf("%+v, %v", claims, err)
	}
	if left := time.Until(claims.Expires); left > 90*time.Minute || left < 80*time.Minute {
		t.Errorf("it is good for %s", left)
	}
	see := func() int { return s.Call(t, "GET", "/api/streams/cats", token, "") }
	if code := see(); code != 200 {
		t.Errorf("the link: %d", code)
	}
	if code := s.Call(t, "PATCH", "/api/streams/cats", token, `{"title": "mine"}`); code != 403 {
		t.Errorf("an edit with the link: %d", code)
	}
	if code := s.Call(t, "POST", "/api/streams/cats/keys", s.Admin, ""); code != 201 {
		t.Fatal(code)
	}
	if code := see(); code != 401 {
		t.Errorf("the link after the keys were renewed: %d", code)
	}
	if again, _ := strings.CutPrefix(link().Fragment, "token="); s.Call(t, "GET", "/api/streams/cats", again, "") != 200 {
		t.Error("a new link does not open the stream")
	}
	for _, args := range []string{
		"", "--stream *", "--stream Cats", "--stream cats --base-url ftp://x", "--stream cats --base-url https://x/path",
		"--stream cats --ttl -1h", "--stream cats --base-url x",
	} {
		code, out, stderr := command(t.Context(), append([]string{"link", "--data", s.Data}, strings.Fields(args)...)...)
		if code == 0 || out != "" || stderr == "" {
			t.Errorf("%s: %d %q %q", args, code, out, stderr)
		}
	}
}
