package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestDocsNameTests: each test that docs/conformance.md and docs/reliability.md name exists.
func TestDocsNameTests(t *testing.T) {
	folders := map[string]string{
		"web": "../web", "ingest": "../ingest", "egress": "../egress", "mediaport": "../mediaport",
		"sdp": "../internal/sdp", "tlsmux": "../internal/tlsmux", "certs": "../internal/certs",
		"load": "../internal/load", "accept": "../internal/accept", "server": "../cmd/siaran/server",
		"media": "media", "browser": "browser",
		"netns": "netns", "cluster": "cluster", "firestore": "firestore", "soak": "soak",
	}
	for page, least := range map[string]int{"conformance.md": 50, "reliability.md": 40} {
		text, err := os.ReadFile("../docs/" + page)
		if err != nil {
			t.Fatal(err)
		}
		found := regexp.MustCompile("`([a-z]+)\\.(Test[A-Za-z0-9]+)`").FindAllSubmatch(text, -1)
		if len(found) < least {
			t.Errorf("%s names only %d tests", page, len(found))
		}
		for _, name := range found {
			if folder := folders[string(name[1])]; folder == "" || !declares(t, folder, string(name[2])) {
				t.Errorf("%s: there is no test %s.%s", page, name[1], name[2])
			}
		}
	}
}

// declares reports whether a folder has a test.
func declares(t *testing.T, folder, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if regexp.MustCompile(`(?m)^func ` + test + `\(`).Match(code) {
			return true
		}
	}
	return false
}
