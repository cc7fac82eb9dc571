package main

import (
	"strings"
	"testing"

	"siaran"
	"siaran/e2e/harness"
	"siaran/listing/firestore"
	"siaran/listing/firestore/emulator"
	"siaran/web/access"
)

// TestTokenOfFirestore mints a token for streams whose keys have been renewed in Firestore, or that were deleted there.
func TestTokenOfFirestore(t *testing.T) {
	project := emulator.Project()
	t.Setenv("FIRESTORE_EMULATOR_HOST", emulator.Start(t))
	t.Setenv("FIREBASE_PROJECT", project)
	t.Setenv("SIARAN_LISTING", "firestore")
	db, err := firestore.Open(t.Context(), firestore.Config{Project: project})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	generation, err := db.RotateKeys(t.Context(), "cats")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Edit(t.Context(), "cows", siaran.StreamEdit{}); err != nil {
		t.Fatal(err)
	}
	if err := db.Delete(t.Context(), "cows"); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	for _, stream := range []siaran.StreamName{"cats", "cows", "dogs"} {
		var out, errs harness.Buffer
		args := []string{"token", "--data", data, "--stream", string(stream), "--scope", "publish"}
		if code := execute(t.Context(), args, console{&out, &errs}); code != 0 {
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
		want := map[siaran.StreamName]int{"cats": generation, "cows": 1}[stream]
		if claims.KeyGeneration != want {
			t.Errorf("the token for %s is of generation %d, want %d", stream, claims.KeyGeneration, want)
		}
	}
}
