package tlsmux

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siaran/internal/testutil"
)

// TestNoBusyLoop: while the system has no descriptors, Accept is called about once a second and logged about once a
// minute.
func TestNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &testutil.NoDescriptors{}
		l := Listen(raw, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.Calls(); n < 100 || n > 700 {
			t.Errorf("Accept was called %d times in ten minutes", n)
		}
		if n := strings.Count(log.String(), "too many open files"); n < 5 || n > 11 {
			t.Errorf("%d log lines in ten minutes", n)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}
