package rulestest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"
)

const (
	oldestNode  = 20 // of which the Firebase SDK says that it will do
	installTime = 5 * time.Minute
)

// needNode finds Node and sees that the Firebase SDK is in node_modules. Where that cannot be, the test fails on CI and is left out elsewhere.
func needNode(t *testing.T) {
	t.Helper()
	if err := errors.Join(checkNode(), install()); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

func checkNode() error {
	out, err := exec.Command("node", "--version").Output()
	if err != nil {
		return errors.New("no Node found: 'apt-get install nodejs npm' on Debian")
	}
	version := regexp.MustCompile(`^v(\d+)`).FindSubmatch(out)
	if version == nil {
		return errors.New("node says it is of version " + string(out))
	}
	if n, err := strconv.Atoi(string(version[1])); err != nil || n < oldestNode {
		return errors.New("Node is too old, it must be " + strconv.Itoa(oldestNode) + " or newer: " + string(out))
	}
	return nil
}

// install brings node_modules to what package-lock.json says, unless it is that already.
func install() error {
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		return err
	}
	installed := filepath.Join("node_modules", ".installed")
	if before, err := os.ReadFile(installed); err == nil && bytes.Equal(before, lock) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "npm", "ci").CombinedOutput(); err != nil {
		return errors.New("npm ci: " + err.Error() + "\n" + string(out))
	}
	return os.WriteFile(installed, lock, 0o644)
}
