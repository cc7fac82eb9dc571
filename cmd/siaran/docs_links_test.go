package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"siaran/e2e/harness"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	quotedFile   = regexp.MustCompile("`([\\w./-]+\\.(?:go|js|yaml|md))`")
	quotedCall   = regexp.MustCompile("`(?:\\w+\\.)*?((?:\\w+\\.)?\\w+)\\(\\)`")
	namedFile    = regexp.MustCompile(`\b[\w/]+\.(?:go|yaml|md)\b`)
	testCommand  = regexp.MustCompile("`[^`]*go test\\s([^`]*)`")
	codeBlock    = regexp.MustCompile("(?ms)^```.*?^```$")
	heading      = regexp.MustCompile(`(?m)^#+ (.+)$`)
)

// TestDocsPointAtWhatExists follows the relative links of every page, and in docs/architecture.md also looks up the
// files and functions that it names.
func TestDocsPointAtWhatExists(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, page := range pages(t, root) {
		text := codeBlock.ReplaceAllString(string(harness.ReadFile(t, page)), "")
		for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
			checkLink(t, page, m[1])
		}
	}

	functions := declaredFunctions(t, root)
	page := filepath.Join(root, "docs", "architecture.md")
	text := string(harness.ReadFile(t, page))
	for _, m := range quotedFile.FindAllStringSubmatch(text, -1) {
		if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
			t.Errorf("%s names %s, which does not exist", page, m[1])
		}
	}
	for _, m := range quotedCall.FindAllStringSubmatch(text, -1) {
		if !functions[m[1]] {
			t.Errorf("%s names %s(), which no file declares", page, m[1])
		}
	}
}

// TestPackageDocsNameFiles: each file that a doc.go names is in its folder or, with its path, in the repository.
func TestPackageDocsNameFiles(t *testing.T) {
	root := filepath.Join("..", "..")
	walk(t, root, func(path string) {
		if filepath.Base(path) != "doc.go" {
			return
		}
		for _, name := range namedFile.FindAllString(string(harness.ReadFile(t, path)), -1) {
			_, here := os.Stat(filepath.Join(filepath.Dir(path), name))
			_, there := os.Stat(filepath.Join(root, name))
			if here != nil && there != nil {
				t.Errorf("%s names %s, which does not exist", path, name)
			}
		}
	})
}

// TestCommandsInDocsRunTests: the packages that the pages' go test commands name have a test or benchmark with that
// name.
func TestCommandsInDocsRunTests(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, page := range pages(t, root) {
		for _, m := range testCommand.FindAllStringSubmatch(string(harness.ReadFile(t, page)), -1) {
			words := strings.Fields(m[1])
			var folder string
			var names []string
			for i, word := range words {
				if strings.HasPrefix(word, "./") {
					folder = word
				}
				if wanted := i > 0 && (words[i-1] == "-run" || words[i-1] == "-bench"); wanted && word != "'^$'" && word != "xxx" {
					names = append(names, word)
				}
			}
			for _, name := range names {
				if !hasTest(t, filepath.Join(root, folder), name) {
					t.Errorf("%s: %q finds no test", page, m[0])
				}
			}
		}
	}
}

// hasTest reports whether a folder has a test or benchmark whose name contains this.
func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func (?:Test|Benchmark)\w*` + strings.TrimPrefix(name, "Test"))
	for _, file := range files {
		if declared.Match(harness.ReadFile(t, file)) {
			return true
		}
	}
	return false
}

// TestCapacityFiguresAgree: README and docs/performance.md give the same number of viewers a core.
func TestCapacityFiguresAgree(t *testing.T) {
	performance := string(harness.ReadFile(t, "..", "..", "docs", "performance.md"))
	row := regexp.MustCompile(`(?m)^\| 2\.5 Mbit/s \|.*\| (\d+) \|$`).FindStringSubmatch(performance)
	if row == nil {
		t.Fatal("docs/performance.md has no capacity for 2.5 Mbit/s")
	}
	readme := strings.Join(strings.Fields(string(harness.ReadFile(t, "..", "..", "README.md"))), " ")
	if want := "about " + row[1] + " viewers of 2.5 Mbit/s"; !strings.Contains(readme, want) {
		t.Errorf("README.md does not say %q", want)
	}
}

// pages returns the Markdown pages that people read.
func pages(t *testing.T, root string) []string {
	t.Helper()
	var found []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/decisions/*.md"} {
		matches, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, matches...)
	}
	return found
}

func checkLink(t *testing.T, page, link string) {
	t.Helper()
	if strings.Contains(link, "://") {
		return
	}
	file, fragment, _ := strings.Cut(link, "#")
	target := page
	if file != "" {
		target = filepath.Join(filepath.Dir(page), file)
	}
	text, err := os.ReadFile(target)
	if err != nil {
		info, statErr := os.Stat(target)
		if statErr != nil || !info.IsDir() {
			t.Errorf("%s links to %s: %v", page, link, err)
		}
		return
	}
	if fragment == "" {
		return
	}
	for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
		if anchor(m[1]) == fragment {
			return
		}
	}
	t.Errorf("%s links to %s, which is not a heading there", page, link)
}

// anchor is the fragment that GitHub gives a heading.
func anchor(heading string) string {
	kept := regexp.MustCompile(`[^\w\s-]`).ReplaceAllString(strings.ToLower(heading), "")
	return strings.ReplaceAll(kept, " ", "-")
}

// declaredFunctions returns the names of all functions and methods in Go and JavaScript files of the repository, those
// of methods in Go also with their types, as in Hub.Publish.
func declaredFunctions(t *testing.T, root string) map[string]bool {
	t.Helper()
	inGo := regexp.MustCompile(`(?m)^func (?:\((?:\w+ )?\*?(\w+)[^)]*\) )?(\w+)(?:\[[^\]]*\])?\(`)
	inJS := regexp.MustCompile(`(?m)^\s*(?:export )?(?:async )?(?:function )?#?()(\w+)\(.*\{$`)
	names := map[string]bool{}
	walk(t, root, func(path string) {
		declared := map[string]*regexp.Regexp{".go": inGo, ".js": inJS}[filepath.Ext(path)]
		if declared == nil {
			return
		}
		for _, m := range declared.FindAllStringSubmatch(string(harness.ReadFile(t, path)), -1) {
			names[m[2]] = true
			if m[1] != "" {
				names[m[1]+"."+m[2]] = true
			}
		}
	})
	return names
}

// walk calls visit for each file of the repository that people write.
func walk(t *testing.T, root string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "node_modules" || d.Name() == "vendor" || d.Name() == ".git"):
			return filepath.SkipDir
		case !d.IsDir():
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
