package main

import (
	"regexp"
	"strings"
	"testing"
)

// TestSettingsAreWrittenDown: each has a row in the README's table and a line in the example file, and none that is not there has.
func TestSettingsAreWrittenDown(t *testing.T) {
	var line commandLine
	parser, err := newParser(&line, nil)
	if err != nil {
		t.Fatal(err)
	}
	readme, example := string(readFile(t, "..", "..", "README.md")), string(readFile(t, "..", "..", "siaran.example.yaml"))
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
			if row := "| `--" + flag.Name + "` | `" + flag.Envs[0] + "`"; !strings.Contains(readme, row) {
				t.Errorf("README.md has no row that begins with %s", row)
			}
			if !regexp.MustCompile(`(?m)^(# )?` + flag.Name + `: `).MatchString(example) {
				t.Errorf("siaran.example.yaml has no %s", flag.Name)
			}
		}
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `--([a-z-]+)`").FindAllStringSubmatch(readme, -1) {
		if !known[m[1]] {
			t.Errorf("README.md tells of --%s, which is no flag", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:# )?([a-z-]+): \S`).FindAllStringSubmatch(example, -1) {
		if !known[m[1]] {
			t.Errorf("siaran.example.yaml has %s, which is no setting", m[1])
		}
	}
}
