package server

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
)

func TestListingSettings(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	none := filepath.Join(t.TempDir(), "none.json")
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"presence in a file": {func(c *Config) { c.Presence = "counts" }, "--listing firestore"},
		"no credentials": {func(c *Config) { c.Listing, c.FirebaseProject = "firestore", "p" },
			"GOOGLE_APPLICATION_CREDENTIALS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", none)
			cfg := testConfig(t.TempDir())
			c.change(&cfg)
			cfg, err := cfg.Checked()
			if err == nil {
				var s *server
				if s, err = openServer(t.Context(), cfg, slog.New(slog.NewTextHandler(t.Output(), nil))); err == nil {
					s.close()
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
