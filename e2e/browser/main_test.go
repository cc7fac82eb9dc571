package browser

import (
	"os"
	"testing"

	"siaran/e2e/harness"
)

func TestMain(m *testing.M) {
	harness.Parallel(1.5)
	os.Exit(harness.Main(m))
}
