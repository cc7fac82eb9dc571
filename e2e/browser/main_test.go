package browser

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"siaran/e2e/harness"
)

func TestMain(m *testing.M) {
	// A test takes half a processor or less, and waits for the rest of its time. -parallel overrides it.
	if err := flag.Set("test.parallel", strconv.Itoa(runtime.GOMAXPROCS(0)*3/2)); err != nil {
		panic(err)
	}
	os.Exit(harness.Main(m))
}
