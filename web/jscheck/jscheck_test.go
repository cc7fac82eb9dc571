// Package jscheck checks the JavaScript of the pages in ../static: types with TypeScript, mistakes with ESLint, and
// what needs no browser with unit tests in Node. Its npm packages are for that alone; nothing of them is in the binary.
package jscheck

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"siaran/internal/testutil"
)

const (
	checkTime = 3 * time.Minute
)

// oldestNode is the oldest version of Node that ESLint supports, and that knows ES modules by their syntax.
var oldestNode = [2]int{20, 19}

// TestJavaScript fails where the JavaScript of the pages has a type error, a mistake that ESLint knows, or a unit test
// that fails. Without Node or npm it fails on CI and is skipped elsewhere.
func TestJavaScript(t *testing.T) {
	if err := errors.Join(checkNode(), testutil.NPM(".")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("SKIPPED: the checks of the pages' JavaScript: %v", err)
	}
	tools := filepath.Join("jscheck", "node_modules")
	for name, command := range map[string][]string{
		"types": {filepath.Join(tools, "typescript", "bin", "tsc"), "--project", "jscheck"},
		"lint": {
			filepath.Join(tools, "eslint", "bin", "eslint.js"), "--config", filepath.Join("jscheck", "eslint.config.js"),
			"--max-warnings", "0", "static", "jscheck",
		},
		"units": {"--import", "./jscheck/test/browser.js", "--test-reporter", "spec", "jscheck/test/all.js"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), checkTime)
			defer cancel()
			cmd := exec.CommandContext(ctx, "node", command...)
			cmd.Dir = ".." // the base path of ESLint's patterns
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("node %s: %v\n%s", strings.Join(command, " "), err, out)
			}
		})
	}
}

func checkNode() error {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return errors.New("no Node found: 'apt-get install nodejs npm' on Debian")
	}
	version := regexp.MustCompile(`^v(\d+)\.(\d+)\.`).FindSubmatch(out)
	if version == nil {
		return fmt.Errorf("node says its version is %q", out)
	}
	major, _ := strconv.Atoi(string(version[1])) // digits
	minor, _ := strconv.Atoi(string(version[2]))
	if major < oldestNode[0] || major == oldestNode[0] && minor < oldestNode[1] {
		return fmt.Errorf("Node is too old, it must be %d.%d or newer: %s", oldestNode[0], oldestNode[1], out)
	}
	return nil
}
