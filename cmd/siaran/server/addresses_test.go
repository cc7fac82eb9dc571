package server

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
)

func TestPublicHosts(t *testing.T) {
	for host, want := range map[string]bool{
		"live.example.org": true, "Example.ORG.": true, "203.0.113.7": true, "2001:db8::7": true,
		"localhost": false, "server": false, "tv.local": false, "a.internal": false, "nas.home.arpa": false,
		"10.0.0.1": false, "127.0.0.1": false, "::1": false, "fd00::1": false, "100.64.0.1": false, "192.168.1.1": false,
		"169.254.1.1": false,
	} {
		if got := publicHost(host); got != want {
			t.Errorf("%s: %v", host, got)
		}
	}
}

// TestPrivateAddressesOfPublicServer: the operator is told what nobody outside could reach.
func TestPrivateAddressesOfPublicServer(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		warns  bool
	}{
		"on this machine":  {func(*Config) {}, false},
		"public host name": {func(c *Config) { c.BaseURL = "https://live.example.org" }, true},
		"known address": {func(c *Config) {
			c.BaseURL, c.PublicIP = "https://live.example.org", []netip.Addr{netip.MustParseAddr("203.0.113.7")}
		}, false},
		"private address": {func(c *Config) {
			c.BaseURL, c.PublicIP = "https://live.example.org", []netip.Addr{netip.MustParseAddr("10.1.1.1")}
		}, true},
		"at home": {func(c *Config) { c.BaseURL = "http://tv.local:8080" }, false},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			c.change(&cfg)
			cfg, err := cfg.Checked()
			if err != nil {
				t.Fatal(err)
			}
			s, err := openServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			f, err := s.newBanner()
			if err != nil {
				t.Fatal(err)
			}
			var out, log strings.Builder
			f.Print(&out, false)
			f.Log(slog.New(slog.NewTextHandler(&log, nil)))
			for _, text := range []string{out.String(), log.String()} {
				if strings.Contains(text, "--public-ip") != c.warns {
					t.Errorf("it says:\n%s", text)
				}
			}
		})
	}
}
