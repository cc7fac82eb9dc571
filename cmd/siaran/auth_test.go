package main

import (
	"log/slog"
	"strings"
	"testing"

	"siaran/web/access/firebaseauth/emulator"
)

// TestEmulatorsNeedDev: a server that anyone could be anyone on must not start by accident.
func TestEmulatorsNeedDev(t *testing.T) {
	for _, name := range emulators {
		t.Run(name, func(t *testing.T) {
			for _, other := range emulators {
				t.Setenv(other, "")
			}
			cfg := testConfig(t.TempDir())
			cfg.Dev = false
			if _, err := cfg.checked(); err != nil {
				t.Fatalf("without one: %v", err)
			}
			t.Setenv(name, "127.0.0.1:1")
			_, err := cfg.checked()
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, word := range []string{name + "=127.0.0.1:1", "environment", "--dev"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is missing in: %v", word, err)
				}
			}
			var out, problems lockedBuffer
			if code := execute(t.Context(), []string{"serve", "--listen", "127.0.0.1:0", "--udp", "127.0.0.1:0", "--data", t.TempDir()}, console{&out, &problems}); code != 1 || !strings.Contains(problems.String(), "--dev") {
				t.Errorf("serve ended with %d: %s", code, problems.String())
			}
			cfg.Dev = true
			if _, err := cfg.checked(); err != nil {
				t.Errorf("with --dev: %v", err)
			}
		})
	}
}

func TestFirebaseWebConfig(t *testing.T) {
	good := writeFile(t, "web.json", webConfig)
	for name, tt := range map[string]struct {
		auth AuthConfig
		want string // in the error; empty: none
	}{
		"file":           {AuthConfig{AuthFirebase: true, FirebaseWebConfig: good}, ""},
		"as it is":       {AuthConfig{AuthFirebase: true, FirebaseWebConfig: " " + webConfig}, ""},
		"none":           {AuthConfig{AuthFirebase: true}, ""},
		"nobody let in":  {AuthConfig{FirebaseWebConfig: good}, "add --auth-firebase"},
		"no file":        {AuthConfig{AuthFirebase: true, FirebaseWebConfig: "/none.json"}, "/none.json"},
		"no JSON":        {AuthConfig{AuthFirebase: true, FirebaseWebConfig: writeFile(t, "x", "const firebaseConfig = {}")}, "not JSON"},
		"nothing in it":  {AuthConfig{AuthFirebase: true, FirebaseWebConfig: "{}"}, "apiKey"},
		"another policy": {AuthConfig{AuthFirebase: true, FirebaseWebConfig: `{"apiKey":"x","projectId":"p","authDomain":"a.b; script-src *"}`}, "authDomain"},
	} {
		tt.auth.Dev = true
		if err := tt.auth.check(); tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}

// TestAccountsOfOneProject: the page and the server must agree, and it must be known which.
func TestAccountsOfOneProject(t *testing.T) {
	t.Setenv(emulator.Variable, "127.0.0.1:1") // nobody is asked before this is found
	t.Setenv("GOOGLE_CLOUD_PROJECT", "")
	for name, tt := range map[string]struct{ web, project, want string }{
		"two projects": {webConfig, "demo-other", "give that of one project"},
		"none":         {"", "", "which project"},
	} {
		cfg := testConfig(t.TempDir())
		cfg.AuthConfig = AuthConfig{AuthFirebase: true, FirebaseWebConfig: tt.web, Dev: true}
		cfg.FirebaseProject = tt.project
		cfg, err := cfg.checked()
		if err != nil {
			t.Fatal(err)
		}
		err = run(t.Context(), cfg, slog.New(slog.DiscardHandler), func(facts) { t.Error("it says that it is ready") })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}

// TestStartsWithoutGoogle: an outage of the sign-in service is no reason not to start; keys go on working.
func TestStartsWithoutGoogle(t *testing.T) {
	t.Setenv(emulator.Variable, "127.0.0.1:1") // nobody answers there
	s := startServer(t, func(c *Config) {
		c.AuthConfig = AuthConfig{AuthFirebase: true, Dev: true}
		c.FirebaseProject = firebaseProject
	})
	if !strings.Contains(s.logs.String(), "does not answer") {
		t.Error("nothing is said")
	}
	if res := s.request(t, "GET", s.URL+"/api/tokens/self", s.Admin, "", ""); res.StatusCode != 200 {
		t.Errorf("a key: %d %s", res.StatusCode, res.body)
	}
	if res := s.request(t, "GET", s.URL+"/api/tokens/self", "junk", "", ""); res.StatusCode != 401 {
		t.Errorf("junk: %d %s", res.StatusCode, res.body)
	}
	unsigned := "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL3NlY3VyZXRva2VuLmdvb2dsZS5jb20vZGVtby1zaWFyYW4iLCJhdWQiOiJkZW1vLXNpYXJhbiIsInN1YiI6ImFuYSIsImlhdCI6MSwiZXhwIjo0MTAyNDQ0ODAwfQ."
	if res := s.request(t, "GET", s.URL+"/api/tokens/self", unsigned, "", ""); res.StatusCode != 503 || res.Header.Get("Retry-After") == "" {
		t.Errorf("an account: %d %s", res.StatusCode, res.body)
	}
}
