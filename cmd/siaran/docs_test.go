package main

import (
	"regexp"
	"strings"
	"testing"

	"siaran/e2e/harness"
)

// TestSettingsAreDocumented holds the table of docs/settings.md and the example file to the flags: a row and a line for
// each, and none for a flag that does not exist.
func TestSettingsAreDocumented(t *testing.T) {
	var line commandLine
	parser, err := newParser(&line, nil)
	if err != nil {
		t.Fatal(err)
	}
	table := string(harness.ReadFile(t, "..", "..", "docs", "settings.md"))
	example := string(harness.ReadFile(t, "..", "..", "siaran.example.yaml"))
	known := map[string]bool{}
	for _, node := range parser.Model.Children {
		if node.Name != "serve" {
			continue
		}
		for _, flag := range node.Flags {
			if flag.Name == "help" || flag.Name == "config" {
				continue
			}
			known[flag.Name] = true
			if row := "| `--" + flag.Name + "` | `" + flag.Envs[0] + "`"; !strings.Contains(table, row) {
				t.Errorf("docs/settings.md has no row that begins with %s", row)
			}
			if !regexp.MustCompile(`(?m)^(# )?` + flag.Name + `: `).MatchString(example) {
				t.Errorf("siaran.example.yaml has no %s", flag.Name)
			}
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)`").FindAllStringSubmatch(table, -1) {
		if !known[m[1]] {
			t.Errorf("docs/settings.md has --%s, which is not a flag", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:# )?([a-z-]+): \S`).FindAllStringSubmatch(example, -1) {
		if !known[m[1]] {
			t.Errorf("siaran.example.yaml has %s, which is not a setting", m[1])
		}
	}
}
