package ingest

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siaran/internal/testutil"
)

// TestNoBusyLoopWithoutDescriptors: a system that gives no descriptors is asked about once a second, and the log told
// about once a minute.
func TestNoBusyLoopWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &testutil.NoDescriptors{}
		s := &tcpListener{listener: raw, log: slog.New(slog.NewTextHandler(&log, nil))}
		s.running.Go(s.accept)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.Calls(); n < 100 || n > 700 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := strings.Count(log.String(), "too many open files"); n < 5 || n > 11 {
			t.Errorf("%d lines of log in ten minutes", n)
		}
		s.end()
	})
}
