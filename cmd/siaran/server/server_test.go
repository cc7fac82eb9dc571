package server

import (
	"log/slog"
	"strings"
	"testing"
)

// TestNodeURL is what other servers are told.
func TestNodeURL(t *testing.T) {
	for listen, c := range map[string]struct {
		base, want string
	}{
		"127.0.0.1:0": {"", "http://127.0.0.1:"},
		":0":          {"", ""},
		"0.0.0.0:0":   {"http://192.0.2.7:8080", "http://192.0.2.7:8080"},
	} {
		cfg := testConfig(t.TempDir())
		cfg.Listen, cfg.BaseURL = listen, c.base
		cfg, err := cfg.Checked()
		if err != nil {
			t.Fatal(err)
		}
		s, err := openServer(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		got := s.nodeURL()
		if err := s.close(); err != nil {
			t.Error(err)
		}
		if c.want == "" && got != "" || !strings.HasPrefix(got, c.want) {
			t.Errorf("--listen %s --base-url %q: %q, want %q", listen, c.base, got, c.want)
		}
	}
}
