package turn

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

// failingListener has no descriptors left.
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

// TestNoBusyLoopWithoutDescriptors: a system that gives no descriptors is asked about twenty times a second, and the
// log gets a line about once a minute.
func TestNoBusyLoopWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw := &failingListener{}
		s := &Server{closing: make(chan struct{})}
		s.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		go s.accept(raw, nil)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.calls.Load(); n < 100 || n > 21*600 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := strings.Count(log.String(), "too many open files"); n < 5 || n > 11 {
			t.Errorf("%d lines of log in ten minutes", n)
		}
		close(s.closing)
	})
}
