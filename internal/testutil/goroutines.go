package testutil

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// GoroutinesLeft waits until all goroutines have ended but those of the options, and says which have not. goleak itself
// waits for half a second, in which a busy machine may not come to let them end.
func GoroutinesLeft(ignored ...goleak.Option) error {
	for deadline := time.Now().Add(Patience); ; {
		if err := goleak.Find(ignored...); err == nil || time.Now().After(deadline) {
			return err
		}
	}
}

// Main runs the tests of a package, and then looks for goroutines that they have left. It returns the exit code.
func Main(m *testing.M, ignored ...goleak.Option) int {
	code := m.Run()
	if code != 0 {
		return code
	}
	if err := GoroutinesLeft(ignored...); err != nil {
		fmt.Fprintln(os.Stderr, "goroutines are left:", err)
		return 1
	}
	return 0
}
