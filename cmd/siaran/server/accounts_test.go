package server_test

import (
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
	"siaran/web/access/firebaseauth/emulator"
)

// TestStartsWithoutGoogle: an outage of the sign-in service is no reason not to start; keys go on working.
func TestStartsWithoutGoogle(t *testing.T) {
	t.Setenv(emulator.Variable, "127.0.0.1:1") // nobody answers there
	s := harness.Start(t, func(c *server.Config) {
		c.AuthConfig = server.AuthConfig{AuthFirebase: true, Dev: true}
		c.FirebaseProject = harness.FirebaseProject
	})
	if !strings.Contains(s.Logs.String(), "does not answer") {
		t.Error("the log has no warning that Firebase Authentication does not answer")
	}
	if res := s.Request(t, "GET", s.URL+"/api/tokens/self", s.Admin, "", ""); res.StatusCode != 200 {
		t.Errorf("a key: %d %s", res.StatusCode, res.Body)
	}
	if res := s.Request(t, "GET", s.URL+"/api/tokens/self", "junk", "", ""); res.StatusCode != 401 {
		t.Errorf("junk: %d %s", res.StatusCode, res.Body)
	}
	unsigned := "eyJhbGciOiJub25lIn0." +
		"eyJpc3MiOiJodHRwczovL3NlY3VyZXRva2VuLmdvb2dsZS5jb20vZGVtby1zaWFyYW4iLCJhdWQiOiJkZW1vLXNpYXJhbiIs" +
		"InN1YiI6ImFuYSIsImlhdCI6MSwiZXhwIjo0MTAyNDQ0ODAwfQ."
	if res := s.Request(t, "GET", s.URL+"/api/tokens/self", unsigned, "", ""); res.StatusCode != 503 ||
		res.Header.Get("Retry-After") == "" {
		t.Errorf("an account: %d %s", res.StatusCode, res.Body)
	}
}
