// Package axe gives tests axe-core, which checks that everyone can use a page (WCAG). It is an npm package,
// which is installed beside this file when it is needed.
package axe

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"siaran/internal/testutil"
)

// Script is a script that defines window.axe. Without npm the test is left out, or fails if the environment variable CI
// is set.
func Script(t *testing.T) string {
	t.Helper()
	_, file, _, _ := runtime.Caller(0)
	dir := filepath.Dir(file)
	err := testutil.NPM(dir)
	if err == nil {
		var script []byte
		if script, err = os.ReadFile(filepath.Join(dir, "node_modules", "axe-core", "axe.min.js")); err == nil {
			return string(script)
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatal(err)
	}
	t.Skip(err)
	return ""
}
