package turn

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siaran/internal/testutil"
)

// TestNoBusyLoopWithoutDescriptors: a system that gives no descriptors is asked about twenty times a second, and the
// log gets a line about once a minute.
func TestNoBusyLoopWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &testutil.NoDescriptors{}
		s := &Server{closing: make(chan struct{})}
		s.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		go s.accept(raw, nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.Calls(); n < 100 || n > 21*600 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := strings.Count(log.String(), "too many open files"); n < 5 || n > 11 {
			t.Errorf("%d lines of log in ten minutes", n)
		}
		close(s.closing)
	})
}
