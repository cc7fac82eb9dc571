package tlsmux

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// failingListener has run out of file descriptors.
type failingListener struct {
	calls  atomic.Int64
	closed atomic.Bool
}

func (l *failingListener) Accept() (net.Conn, error) {
	l.calls.Add(1)
	if l.closed.Load() {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
}
func (l *failingListener) Close() error   { l.closed.Store(true); return nil }
func (l *failingListener) Addr() net.Addr { return &net.TCPAddr{} }

// TestNoBusyLoop: while the system has no descriptors, Accept is called about once a second and logged about once a
// minute.
func TestNoBusyLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &failingListener{}
		l := Listen(raw, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.calls.Load(); n < 100 || n > 700 {
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
