package media

import (
	"os"
	"testing"

	"siaran/e2e/harness"
)

func TestMain(m *testing.M) {
	harness.Parallel(2)
	os.Exit(harness.Main(m))
}
