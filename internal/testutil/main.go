package testutil

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// lingering is how long goroutines that are about to end may take on a busy machine. goleak itself waits for less than
// half a second.
const lingering = 30 * time.Second

// Main runs the tests of a package. It fails when goroutines are left after them, or one of checks finds something.
func Main(m *testing.M, checks ...func() error) {
	code := m.Run()
	for _, check := range append([]func() error{leaked}, checks...) {
		if code != 0 {
			break
		}
		if err := check(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

func leaked() error {
	for end := time.Now().Add(lingering); ; {
		if err := goleak.Find(); err == nil || time.Now().After(end) {
			return err
		}
	}
}

// Together lets n parallel tests run beside each other, on however few CPUs, in a package whose parallel tests mostly
// wait. It is called before Main.
func Together(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(n)); err != nil {
		panic(err)
	}
}
