package browser

import (
	"os"
	"testing"

	"siaran/e2e/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }
