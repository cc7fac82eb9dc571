package server

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siaran/internal/certs"
)

func TestPlainHTTPIsWarnedOf(t *testing.T) {
	ready := make(chan Banner, 1)
	for _, test := range []struct {
		listen, base string
		plain        bool
	}{{"127.0.0.1:0", "", false}, {":0", "", true}, {":0", "https://live.example.org/", false},
		{":0", "http://live.example.org", true}} {
		cfg := testConfig(t.TempDir())
		cfg.Listen, cfg.BaseURL = test.listen, test.base
		cfg, err := cfg.Checked()
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		told := func(f Banner) { ready <- f; cancel() }
		if err := Run(ctx, cfg, slog.New(slog.DiscardHandler), told, Reload{}); err != nil {
			t.Error(err)
		}
		cancel()
		if f := <-ready; f.PlainHTTP != test.plain {
			t.Errorf("%+v: %+v", test, f)
		}
	}
}

// TestWarningOfPlainHTTP says which flags end it.
func TestWarningOfPlainHTTP(t *testing.T) {
	cfg := testConfig(t.TempDir())
	for _, test := range []struct {
		option func(*server)
		warns  bool
	}{
		{func(*server) {}, true},
		{func(s *server) { s.cfg.BaseURL = "http://live.example.org" }, true},
		{func(s *server) { s.cfg.BaseURL = "https://live.example.org" }, false},
		{func(s *server) { s.certs = &certs.Files{} }, false},
	} {
		l, err := net.Listen("tcp", ":0")
		if err != nil {
			t.Fatal(err)
		}
		other := &server{cfg: cfg, tcp: l}
		test.option(other)
		if other.plain() != test.warns {
			t.Errorf("%s: %v", other.cfg.BaseURL, !test.warns)
		}
		l.Close()
	}
	var printed, logged strings.Builder
	f := Banner{PlainHTTP: true}
	f.Print(&printed, true)
	f.Log(slog.New(slog.NewTextHandler(&logged, nil)))
	for _, flag := range []string{"--acme", "--tls-cert", "--tls-key", "--listen 127.0.0.1:8080", "--base-url https://",
		"--trusted-proxy 127.0.0.1/32", "camera"} {
		if !strings.Contains(printed.String(), flag) || !strings.Contains(logged.String(), flag) {
			t.Errorf("nothing of %s in\n%s\n%s", flag, &printed, &logged)
		}
	}
}

// TestStudioLinkIsForATerminal: what else is printed is kept by others.
func TestStudioLinkIsForATerminal(t *testing.T) {
	f := Banner{URL: "http://localhost:8080", Studio: "http://localhost:8080/studio#token=secret", Data: "/data"}
	for terminal, want := range map[bool]bool{true: true, false: false} {
		var out strings.Builder
		f.Print(&out, terminal)
		if strings.Contains(out.String(), "#token=secret") != want || !strings.Contains(out.String(), f.URL+"/studio") {
			t.Errorf("on a terminal %v: %s", terminal, &out)
		}
	}
}

// TestBannerSaysHowToMakeTokens: one that is made without the servers' secret, or the generation of keys in their
// listing, would be refused.
func TestBannerSaysHowToMakeTokens(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "shared key")
	if err := os.WriteFile(key, []byte(strings.Repeat("k", 32)), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := testConfig(filepath.Join(dir, "data"))
	cfg.SecretFile = []string{key}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var b Banner
	if err := Run(ctx, cfg, slog.New(slog.DiscardHandler), func(f Banner) { b = f; cancel() }, Reload{}); err != nil {
		t.Fatal(err)
	}
	var printed, logged strings.Builder
	b.Print(&printed, false)
	b.Log(slog.New(slog.NewTextHandler(&logged, nil)))
	flag := "--secret-file '" + key + "' --stream"
	if strings.Count(printed.String(), flag) != 2 || !strings.Contains(logged.String(), flag) {
		t.Errorf("not twice %s in\n%s\n%s", flag, &printed, &logged)
	}
	place := ListingPlace{Listing: "firestore", FirebaseProject: "live"}
	flags, err := Config{ListingConfig: ListingConfig{ListingPlace: place}}.tokenFlags()
	if want := " --listing firestore --firebase-project live"; flags != want || err != nil {
		t.Errorf("%q, %v, want %q", flags, err, want)
	}
}
