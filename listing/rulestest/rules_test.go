package rulestest

import (
	"os"
	"os/exec"
	"testing"

	"siaran/listing/firestore/emulator"
)

// TestRules runs rules.test.js.
func TestRules(t *testing.T) {
	needNode(t)
	cmd := exec.CommandContext(t.Context(), "node", "--test", "--test-reporter=spec", "rules.test.js")
	cmd.Env = append(os.Environ(), "FIRESTORE_EMULATOR_HOST="+emulator.Start(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
