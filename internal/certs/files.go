package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	pollEvery = 10 * time.Second
	soon      = 14 * 24 * time.Hour // before the end, someone should have renewed
	remind    = 24 * time.Hour
	maxFile   = 1 << 20 // bytes
)

// Files is a certificate and its key in two PEM files. Whoever renews them just replaces the files.
type Files struct {
	certPath, keyPath string
	log               *slog.Logger
	poll              time.Duration

	pair atomic.Pointer[tls.Certificate]

	// Owned by Run.
	text     [2][]byte // of the pair in use, certificate and key
	refused  [2][]byte // newest that could not be used
	warned   bool      // of that
	reminded time.Time // of the end
}

// OpenFiles reads both files, which must fit together.
func OpenFiles(certPath, keyPath string, log *slog.Logger) (*Files, error) {
	f := &Files{certPath: certPath, keyPath: keyPath, log: log, poll: pollEvery}
	text, err := f.read()
	if err != nil {
		return nil, err
	}
	pair, err := f.parse(text)
	if err != nil {
		return nil, err
	}
	f.pair.Store(pair)
	f.text = text
	return f, nil
}

// GetCertificate is for [tls.Config].
func (f *Files) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return f.pair.Load(), nil
}

// Name is the first host that the certificate is for, empty where it names none.
func (f *Files) Name() string {
	for _, name := range f.pair.Load().Leaf.DNSNames {
		if !strings.HasPrefix(name, "*") {
			return name
		}
	}
	return ""
}

// Until is when the certificate runs out.
func (f *Files) Until() time.Time { return f.pair.Load().Leaf.NotAfter }

// Covers is nil when clients that call the server so will take the certificate, as far as its names go.
func (f *Files) Covers(host string) error { return f.pair.Load().Leaf.VerifyHostname(host) }

// Run looks after the files until ctx ends: every few seconds, and at once at SIGHUP. A pair that cannot be used is
// warned of, and the old one stays.
func (f *Files) Run(ctx context.Context) error {
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	tick := time.NewTicker(f.poll)
	defer tick.Stop()
	f.checkEnd(time.Now())
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-hangup:
			f.reload(true)
		case <-tick.C:
			f.reload(false)
		}
		f.checkEnd(time.Now())
	}
}

// reload uses what stands in the files now. One of them may have been written before the other, so what does not fit is
// warned of only when it still stands there at the second look, or when told is set: someone asked for it.
func (f *Files) reload(told bool) {
	text, err := f.read()
	if err == nil && same(text, f.text) {
		f.refused, f.warned = [2][]byte{}, false
		if told {
			f.log.Info("the certificate has not changed", "file", f.certPath)
		}
		return
	}
	var pair *tls.Certificate
	if err == nil {
		pair, err = f.parse(text)
	}
	if err == nil {
		f.pair.Store(pair)
		f.text, f.refused, f.warned, f.reminded = text, [2][]byte{}, false, time.Time{}
		f.log.Info("a new certificate is in use", "file", f.certPath, "until", pair.Leaf.NotAfter)
		return
	}
	again := f.refused[0] != nil && same(text, f.refused)
	if !again {
		f.warned = false
	}
	if told || again && !f.warned {
		f.warned = true
		f.log.Warn("the new certificate cannot be used, so the old one stays: correct the files of --tls-cert and --tls-key",
			"error", err, "until", f.Until())
	}
	for i := range text {
		if text[i] == nil {
			text[i] = []byte{} // it cannot be read, which may stay so too
		}
	}
	f.refused = text
}

func (f *Files) checkEnd(now time.Time) {
	left := f.Until().Sub(now)
	if left > soon || now.Sub(f.reminded) < remind {
		return
	}
	f.reminded = now
	if left <= 0 {
		f.log.Warn("the certificate has expired: browsers refuse to connect; renew it",
			"file", f.certPath, "since", f.Until())
	} else {
		f.log.Warn("the certificate expires soon: renew it", "file", f.certPath, "until", f.Until())
	}
}

func (f *Files) read() (text [2][]byte, err error) {
	for i, path := range []string{f.certPath, f.keyPath} {
		if text[i], err = readFile(path); err != nil {
			return text, err
		}
	}
	return text, nil
}

func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close() // was only read
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	if err != nil {
		return nil, err
	}
	return text, nil
}

func (f *Files) parse(text [2][]byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", f.certPath, f.keyPath, err)
	}
	if pair.Leaf == nil {
		return nil, errors.New("the certificate has no leaf")
	}
	return &pair, nil
}

func same(a, b [2][]byte) bool { return bytes.Equal(a[0], b[0]) && bytes.Equal(a[1], b[1]) }
