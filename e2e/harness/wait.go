package harness

import (
	"testing"
	"time"

	"siaran/internal/testutil"
)

// Eventually is [testutil.Eventually].
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	testutil.Eventually(t, what, ok)
}

// EventuallyWithin is [testutil.EventuallyWithin].
func EventuallyWithin(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	testutil.EventuallyWithin(t, limit, what, ok)
}
