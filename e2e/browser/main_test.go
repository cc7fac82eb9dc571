package browser

import (
	"flag"
	"os"
	"testing"

	"siaran/e2e/harness"
)

func TestMain(m *testing.M) {
	// Each test waits for most of its time: for a network, for a time-out, for media. -parallel overrides it.
	if err := flag.Set("test.parallel", "4"); err != nil {
		panic(err)
	}
	os.Exit(harness.Main(m))
}
