package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"siaran/internal/testca"
	"siaran/internal/testutil"
)

func TestMain(m *testing.M) {
	// For good: SIGHUP may still be on its way when the test that has sent it is over, and must not end the process then.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	os.Exit(testutil.Main(m))
}

type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// folder has the two files.
type folder struct {
	t         *testing.T
	ca        *testca.CA
	cert, key string
	log       logBuffer
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	dir := t.TempDir()
	f := &folder{t: t, ca: testca.New(t), cert: filepath.Join(dir, "cert.pem"), key: filepath.Join(dir, "key.pem")}
	f.renew(time.Now().Add(90 * 24 * time.Hour))
	return f
}

func (f *folder) write(path string, text []byte) {
	f.t.Helper()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		f.t.Fatal(err)
	}
}

func (f *folder) renew(until time.Time) {
	f.t.Helper()
	cert, key := f.ca.Issue(f.t, until, "localhost")
	f.write(f.cert, cert)
	f.write(f.key, key)
}

func (f *folder) open() *Files {
	f.t.Helper()
	files, err := OpenFiles(f.cert, f.key, slog.New(slog.NewTextHandler(&f.log, nil)))
	if err != nil {
		f.t.Fatal(err)
	}
	return files
}

func (f *folder) warnings() int { return strings.Count(f.log.String(), "level=WARN") }

func leaf(t *testing.T, f *Files) string {
	t.Helper()
	pair, err := f.GetCertificate(&tls.ClientHelloInfo{})
	if err != nil {
		t.Fatal(err)
	}
	return pair.Leaf.SerialNumber.String()
}

func TestFilesThatCannotBeUsed(t *testing.T) {
	for name, spoil := range map[string]func(*folder){
		"no certificate": func(f *folder) { os.Remove(f.cert) },
		"no key":         func(f *folder) { os.Remove(f.key) },
		"junk":           func(f *folder) { f.write(f.cert, []byte("junk")) },
		"another's key":  func(f *folder) { _, key := f.ca.Issue(t, time.Now().Add(time.Hour), "x"); f.write(f.key, key) },
		"swapped":        func(f *folder) { f.cert, f.key = f.key, f.cert },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			spoil(f)
			_, err := OpenFiles(f.cert, f.key, slog.New(slog.DiscardHandler))
			if err == nil || !strings.Contains(err.Error(), ".pem") {
				t.Error(err)
			}
		})
	}
}

func TestReload(t *testing.T) {
	f := newFolder(t)
	files := f.open()
	first := leaf(t, files)
	files.reload(false)
	if leaf(t, files) != first || f.log.String() != "" {
		t.Error("something has changed", f.log.String())
	}
	f.renew(time.Now().Add(90 * 24 * time.Hour))
	files.reload(false)
	if leaf(t, files) == first || f.warnings() != 0 {
		t.Error("the new one is not used", f.log.String())
	}
}

// TestHalfRenewed: between the writing of the one file and of the other there is nothing to complain about.
func TestHalfRenewed(t *testing.T) {
	f := newFolder(t)
	files := f.open()
	first := leaf(t, files)
	cert, key := f.ca.Issue(t, time.Now().Add(90*24*time.Hour), "localhost")
	f.write(f.cert, cert)
	files.reload(false)
	if leaf(t, files) != first || f.warnings() != 0 {
		t.Error("half of a pair", f.log.String())
	}
	f.write(f.key, key)
	files.reload(false)
	if leaf(t, files) == first || f.warnings() != 0 {
		t.Error("the whole pair", f.log.String())
	}
}

// TestBrokenPair is warned of once, however often it is seen, and at once when someone asks.
func TestBrokenPair(t *testing.T) {
	for name, spoil := range map[string]func(*folder){
		"junk": func(f *folder) { f.write(f.cert, []byte("junk")) },
		"gone": func(f *folder) { os.Remove(f.key) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFolder(t)
			files := f.open()
			first := leaf(t, files)
			spoil(f)
			for range 5 {
				files.reload(false)
			}
			if leaf(t, files) != first || f.warnings() != 1 {
				t.Error("not one warning:", f.log.String())
			}
			files.reload(true)
			if f.warnings() != 2 {
				t.Error("no answer to the signal:", f.log.String())
			}
			f.renew(time.Now().Add(90 * 24 * time.Hour))
			files.reload(false)
			if leaf(t, files) == first || f.warnings() != 2 {
				t.Error("it does not recover:", f.log.String())
			}
		})
	}
}

func TestEndIsNear(t *testing.T) {
	f := newFolder(t)
	files := f.open()
	now := time.Now()
	files.checkEnd(now)
	if f.warnings() != 0 {
		t.Error(f.log.String())
	}
	near := now.Add(80 * 24 * time.Hour)
	for i := range 30 {
		files.checkEnd(near.Add(time.Duration(i) * time.Hour))
	}
	if f.warnings() != 2 || !strings.Contains(f.log.String(), "soon") {
		t.Error("not one a day:", f.log.String())
	}
	files.checkEnd(now.Add(100 * 24 * time.Hour))
	if !strings.Contains(f.log.String(), "has expired") {
		t.Error(f.log.String())
	}
}

// TestRun looks at the files by itself, and when it is told to by a signal.
func TestRun(t *testing.T) {
	for name, poll := range map[string]time.Duration{"by itself": 5 * time.Millisecond, "signal": time.Hour} {
		t.Run(name, func(t *testing.T) {
			self, err := os.FindProcess(os.Getpid())
			if err != nil {
				t.Fatal(err)
			}
			f := newFolder(t)
			files := f.open()
			files.poll = poll
			first := leaf(t, files)
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- files.Run(ctx) }()
			f.renew(time.Now().Add(time.Hour))
			testutil.Eventually(t, "the new one is used", func() bool {
				if name == "signal" { // also sent before Run listens
					if err := self.Signal(syscall.SIGHUP); err != nil {
						t.Fatal(err)
					}
				}
				return leaf(t, files) != first
			})
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
