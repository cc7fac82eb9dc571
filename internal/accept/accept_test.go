package accept

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"siaran/internal/testutil"
)

// TestWithoutDescriptors: a system that gives no descriptors is asked about once a second, and the log told about once
// a minute. The end does not wait for the next question.
func TestWithoutDescriptors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		raw, done, ended := &testutil.NoDescriptors{}, make(chan struct{}), make(chan struct{})
		go func() {
			Loop(done, raw, "tests", slog.New(slog.NewTextHandler(&log, nil)), nil)
			close(ended)
		}()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := raw.Calls(); n < 100 || n > 700 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		if n := strings.Count(log.String(), "cannot accept tests"); n < 5 || n > 11 {
			t.Errorf("%d lines of log in ten minutes", n)
		}
		time.Sleep(lastPause / 3)
		before := time.Now()
		close(done)
		<-ended
		if took := time.Since(before); took > 0 {
			t.Errorf("the end took %s", took)
		}
	})
}

// TestGoesOn: connections are taken until the listener is closed.
func TestGoesOn(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken, ended := make(chan net.Conn), make(chan struct{})
	go func() {
		Loop(nil, l, "tests", slog.New(slog.DiscardHandler), func(c net.Conn) { taken <- c })
		close(ended)
	}()
	for range 3 {
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := (<-taken).Close(); err != nil {
			t.Error(err)
		}
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	<-ended
}
