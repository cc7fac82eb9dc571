package netns

import (
	"os"
	"testing"

	"siaran/e2e/harness"
	"siaran/e2e/harness/netlab"
)

func TestMain(m *testing.M) {
	harness.Parallel(2)
	os.Exit(netlab.Main(m, clients))
}
