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

// TestEndWithoutDescriptors: the end does not wait until a system that gives no descriptors is asked again.
func TestEndWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &testutil.NoDescriptors{}
		s := newTCPListener(raw, nil, time.Minute, slog.New(slog.NewTextHandler(&log, nil)))
		time.Sleep(10*time.Minute + time.Second/3)
		synctest.Wait()
		before := time.Now()
		s.end()
		if took := time.Since(before); took > 0 {
			t.Errorf("it took %s", took)
		}
		if n := strings.Count(log.String(), "too many open files"); n < 5 || n > 11 {
			t.Errorf("%d lines of log in ten minutes", n)
		}
	})
}
