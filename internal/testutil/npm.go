package testutil

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const installTime = 5 * time.Minute

// NPM installs the packages that package-lock.json in a folder names, unless it has been done. A .npmrc beside it has
// the options. .ci/deps does the same for all folders.
func NPM(dir string) error {
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			return errors.New("no " + name + " found: 'apt-get install nodejs npm' on Debian")
		}
	}
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		return err
	}
	installed := filepath.Join(dir, "node_modules", ".installed")
	if before, err := os.ReadFile(installed); err == nil && bytes.Equal(before, lock) {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), installTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "npm", "ci")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci in %s: %w\n%s", dir, err, out)
	}
	return os.WriteFile(installed, lock, 0o644)
}
