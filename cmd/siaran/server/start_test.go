package server_test

import (
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"siaran/cmd/siaran/server"
	"siaran/e2e/harness"
)

// TestServerThatCannotStart says why and leaves nothing half-started, as the look for goroutines at the end shows.
func TestServerThatCannotStart(t *testing.T) {
	running := harness.Start(t)
	for _, test := range []struct {
		name    string
		prepare func(t *testing.T, c *server.Config)
		says    []string
	}{
		{
			"busy TCP port",
			func(_ *testing.T, c *server.Config) { c.Listen = strings.TrimPrefix(running.URL, "http://") },
			[]string{"--listen", "in use", "another port"},
		},
		{
			"busy UDP port",
			func(_ *testing.T, c *server.Config) { c.UDP = running.Media },
			[]string{"--udp", "in use", "another"},
		},
		{
			"busy port for operators",
			func(t *testing.T, c *server.Config) {
				c.AdminListen = strings.TrimPrefix(running.URL, "http://")
				c.Data = filepath.Join(c.Data, "untouched")
				t.Cleanup(func() {
					if _, err := os.Stat(c.Data); err == nil {
						t.Error("it has made the data folder")
					}
				})
			},
			[]string{"--admin-listen", "in use", "another port"},
		},
		{
			"unknown address",
			func(_ *testing.T, c *server.Config) { c.Listen = "192.0.2.1:0" },
			[]string{"--listen 192.0.2.1:0"},
		},
		{
			"file for a folder",
			func(t *testing.T, c *server.Config) { c.Data = harness.WriteFile(t, "file", "") },
			[]string{"--data", "choose another"},
		},
		{
			"file above the folder",
			func(t *testing.T, c *server.Config) { c.Data = filepath.Join(harness.WriteFile(t, "file", ""), "data") },
			[]string{"--data", "choose another"},
		},
		{"unwritable folder", func(t *testing.T, c *server.Config) { c.Data = unwritable(t) },
			[]string{"--data", "choose another"}},
		{
			"folder in use",
			func(_ *testing.T, c *server.Config) { c.Data = running.Data },
			[]string{"--data", "another server"},
		},
		{"broken listing", func(t *testing.T, c *server.Config) {
			c.Data = filepath.Dir(harness.WriteFile(t, server.ListingFile, strings.Repeat("This is no database. ", 300)))
		}, []string{server.ListingFile}},
		{"cut secret", func(t *testing.T, c *server.Config) {
			c.Data = filepath.Dir(harness.WriteFile(t, "secret.key", "short"))
		}, []string{"secret.key", "restore"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := harness.Config(t.TempDir())
			test.prepare(t, &cfg)
			ready := func(server.Banner) { t.Error("the server reports that it is ready") }
			err := server.Run(t.Context(), cfg, slog.New(slog.DiscardHandler), ready, server.Reload{})
			if err == nil {
				t.Fatal("it started")
			}
			t.Log(err)
			for _, word := range test.says {
				if !strings.Contains(err.Error(), word) {
					t.Errorf("%q is missing in: %v", word, err)
				}
			}
		})
	}
}

// unwritable is a folder that nobody can write in, root included.
func unwritable(t *testing.T) string {
	if os.Geteuid() == 0 {
		return "/proc/self/fd" // of the kernel's own
	}
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	return dir
}
