package server

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
			if _, err := cfg.Checked(); err != nil {
				t.Fatalf("without one: %v", err)
			}
			t.Setenv(name, "127.0.0.1:1")
			_, err := cfg.Checked()
			if err == nil {
				t.Fatal("it is taken")
			}
			for _, word := range []string{name + "=127.0.0.1:1", "environment", "--dev"} {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is missing in: %v", word, err)
				}
			}
			cfg.Dev = true
			if _, err := cfg.Checked(); err != nil {
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
		"file":          {AuthConfig{AuthFirebase: true, FirebaseWebConfig: good}, ""},
		"as it is":      {AuthConfig{AuthFirebase: true, FirebaseWebConfig: " " + webConfig}, ""},
		"none":          {AuthConfig{AuthFirebase: true}, ""},
		"nobody let in": {AuthConfig{FirebaseWebConfig: good}, "add --auth-firebase"},
		"no file":       {AuthConfig{AuthFirebase: true, FirebaseWebConfig: "/none.json"}, "/none.json"},
		"no JSON": {AuthConfig{AuthFirebase: true, FirebaseWebConfig: writeFile(t, "x",
			"const firebaseConfig = {}")}, "not JSON"},
		"nothing in it": {AuthConfig{AuthFirebase: true, FirebaseWebConfig: "{}"}, "apiKey"},
		"another policy": {AuthConfig{AuthFirebase: true,
			FirebaseWebConfig: `{"apiKey":"x","projectId":"p","authDomain":"a.b; script-src *"}`}, "authDomain"},
	} {
		tt.auth.Dev = true
		if err := tt.auth.check(); tt.want == "" && err != nil || tt.want != "" &&
			(err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}

// TestAccountsOfOneProject: the page and the server must agree, and it must be known which.
func TestAccountsOfOneProject(t *testing.T) {
	t.Setenv(emulator.Variable, "127.0.0.1:1") // nobody is asked before this is found
	t.Setenv("GOOGLE_CLOUD_PROJECT", "")
	for name, tt := range map[string]struct{ web, project, want string }{
		"two projects": {webConfig, "demo-other", "use the same project"},
		"none":         {"", "", "not known"},
	} {
		cfg := testConfig(t.TempDir())
		cfg.AuthConfig = AuthConfig{AuthFirebase: true, FirebaseWebConfig: tt.web, Dev: true}
		cfg.FirebaseProject = tt.project
		cfg, err := cfg.Checked()
		if err != nil {
			t.Fatal(err)
		}
		ready := func(Banner) { t.Error("it says that it is ready") }
		err = Run(t.Context(), cfg, slog.New(slog.DiscardHandler), ready, Reload{})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}
