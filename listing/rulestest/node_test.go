package rulestest

import (
	"errors"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"testing"

	"siaran/internal/testutil"
)

const (
	oldestNode = 20 // of which the Firebase SDK says that it will do
)

// needNode finds Node, and makes sure that the Firebase SDK is in node_modules. Without them the test fails on CI and
// is skipped elsewhere.
func needNode(t *testing.T) {
	t.Helper()
	if err := errors.Join(checkNode(), testutil.NPM(".")); err != nil {
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
