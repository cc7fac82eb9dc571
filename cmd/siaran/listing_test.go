package main

import (
	"path/filepath"
	"strings"
	"testing"

	"siaran"
	"siaran/listing"
	"siaran/listing/emulator"
	"siaran/web/access"
)

func TestListingSettings(t *testing.T) {
	t.Setenv("FIRESTORE_EMULATOR_HOST", "")
	none := filepath.Join(t.TempDir(), "none.json")
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"presence in a file": {func(c *Config) { c.Presence = "counts" }, "--listing firestore"},
		"no credentials":     {func(c *Config) { c.Listing, c.FirebaseProject = "firestore", "p" }, "GOOGLE_APPLICATION_CREDENTIALS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", none)
			cfg := testConfig(t.TempDir())
			c.change(&cfg)
			cfg, err := cfg.checked()
			if err == nil {
				var s *server
				if s, err = openServer(t.Context(), cfg, newLogger(cfg, t.Output())); err == nil {
					s.close()
				}
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}

// TestTokenOfFirestore mints a token for a stream whose keys have been renewed in Firestore.
func TestTokenOfFirestore(t *testing.T) {
	project := emulator.Project()
	t.Setenv("FIRESTORE_EMULATOR_HOST", emulator.Start(t))
	t.Setenv("FIREBASE_PROJECT", project)
	t.Setenv("SIARAN_LISTING", "firestore")
	db, err := listing.OpenFirestore(t.Context(), listing.FirestoreConfig{Project: project})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	generation, err := db.RotateKeys(t.Context(), "cats")
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	for _, stream := range []siaran.StreamName{"cats", "dogs"} {
		var out, errs lockedBuffer
		if code := execute(t.Context(), []string{"token", "--data", data, "--stream", string(stream), "--scope", "publish"}, console{&out, &errs}); code != 0 {
			t.Fatalf("%d: %s", code, errs.String())
		}
		secret, _, err := access.OpenSecret(data)
		if err != nil {
			t.Fatal(err)
		}
		claims, err := secret.Verify(t.Context(), strings.TrimSpace(out.String()))
		if err != nil {
			t.Fatal(err)
		}
		want := map[siaran.StreamName]int{"cats": generation}[stream]
		if claims.KeyGeneration != want {
			t.Errorf("the token for %s is of generation %d, want %d", stream, claims.KeyGeneration, want)
		}
	}
}
