package harness

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// binaryVariable names a built command, for the processes of tests that have built it.
const binaryVariable = "SIARAN_TEST_BINARY"

// Command is the path of the command, built with the race detector if the tests are.
func Command(t testing.TB) string {
	t.Helper()
	path, err := buildCommand()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// buildCommand builds the command once for all packages of a working tree: go build leaves a binary that is up to date
// as it is.
var buildCommand = sync.OnceValues(func() (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		return path, nil
	}
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env: %w", err)
	}
	root := filepath.Dir(strings.TrimSpace(string(mod)))
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	name := strings.ReplaceAll(strings.Trim(root, string(filepath.Separator)), string(filepath.Separator), "-")
	dir := filepath.Join(cache, "siaran-tests", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	path := filepath.Join(dir, "siaran")
	args := []string{"build", "-o", path}
	if raceDetector {
		path += "-race"
		args = []string{"build", "-race", "-o", path}
	}
	build := exec.Command("go", append(args, "./cmd/siaran")...)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w: %s", err, out)
	}
	return path, os.Setenv(binaryVariable, path)
})
