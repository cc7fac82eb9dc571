package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestConformanceNamesTests: each test that docs/conformance.md names exists.
func TestConformanceNamesTests(t *testing.T) {
	text, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	folders := map[string]string{
		"web": "../web", "ingest": "../ingest", "egress": "../egress", "sdp": "../internal/sdp",
		"server": "../cmd/siaran/server", "media": "media", "browser": "browser", "netns": "netns",
	}
	found := regexp.MustCompile("`([a-z]+)\\.(Test[A-Za-z0-9]+)`").FindAllSubmatch(text, -1)
	if len(found) < 50 {
		t.Errorf("only %d tests are named", len(found))
	}
	for _, name := range found {
		folder, test := string(name[1]), string(name[2])
		files, err := filepath.Glob(filepath.Join(folders[folder], "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		there := false
		for _, file := range files {
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			there = there || regexp.MustCompile(`(?m)^func `+test+`\(`).Match(code)
		}
		if !there || folders[folder] == "" {
			t.Errorf("there is no test %s.%s", folder, test)
		}
	}
}
