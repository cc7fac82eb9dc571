package harness

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"siaran/internal/testutil"
)

// Parallel sets how many of a package's tests run at a time for each processor, if they run beside each other at all.
// They wait for most of their time. -parallel overrides it.
func Parallel(tests float64) {
	if err := flag.Set("test.parallel", strconv.Itoa(int(tests*float64(runtime.GOMAXPROCS(0))))); err != nil {
		panic(err)
	}
}

// Main runs the tests of a package, and then looks for goroutines that they have left, but for those that the options
// ignore. It returns the exit code.
func Main(m *testing.M, ignored ...goleak.Option) int {
	os.Unsetenv("SIARAN_CONFIG")
	// For good: a SIGHUP may arrive after the test that has sent it, and must not end the process.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	ignored = append(ignored, goleak.IgnoreCurrent())
	code := m.Run()
	for _, end := range atEnd.list {
		end()
	}
	http.DefaultClient.CloseIdleConnections()
	if code != 0 {
		return code
	}
	if err := testutil.GoroutinesLeft(ignored...); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		return 1
	}
	return 0
}

var atEnd struct {
	mu   sync.Mutex
	list []func()
}

// AtEnd makes Main call end after the tests, before it looks for goroutines.
func AtEnd(end func()) {
	atEnd.mu.Lock()
	defer atEnd.mu.Unlock()
	atEnd.list = append(atEnd.list, end)
}
