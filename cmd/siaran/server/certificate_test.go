package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestMediaCertificateIsRenewed: a server that runs for years always has a media certificate that is good for a
// while, and replaces none before its time.
func TestMediaCertificateIsRenewed(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		first, err := openCertificate(dir, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		used := []*tls.Certificate{first}
		var refuse atomic.Bool
		var mu sync.Mutex // of used
		ctx, cancel := context.WithCancel(t.Context())
		go renewCertificate(ctx, dir, first, func(fresh *tls.Certificate) error {
			if refuse.Load() {
				return errors.New("not now")
			}
			mu.Lock()
			defer mu.Unlock()
			used = append(used, fresh)
			return nil
		}, slog.New(slog.DiscardHandler))
		for day := range 3 * 365 {
			refuse.Store(day%10 != 0)
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			mu.Lock()
			left := time.Until(used[len(used)-1].Leaf.NotAfter)
			mu.Unlock()
			if left < certificateRenew-11*24*time.Hour {
				t.Fatalf("day %d: the certificate in use expires in %s", day, left)
			}
		}
		cancel()
		synctest.Wait()
		if len(used) != 4 {
			t.Errorf("%d certificates in three years", len(used))
		}
		text := readFile(t, dir, CertificateFile)
		if kept, err := tls.X509KeyPair(text, text); err != nil ||
			!bytes.Equal(kept.Certificate[0], used[len(used)-1].Certificate[0]) {
			t.Errorf("the one in use is not the one that is kept: %v", err)
		}
	})
}

// TestBrokenCertificateIsReplaced: it is nothing that anyone would miss.
func TestBrokenCertificateIsReplaced(t *testing.T) {
	dir := filepath.Dir(writeFile(t, CertificateFile, "junk"))
	first, err := openCertificate(dir, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	again, err := openCertificate(dir, time.Now())
	if err != nil || !bytes.Equal(first.Certificate[0], again.Certificate[0]) {
		t.Error("it is not kept", err)
	}
	later, err := openCertificate(dir, time.Now().Add(certificateLife-certificateRenew))
	if err != nil || bytes.Equal(first.Certificate[0], later.Certificate[0]) {
		t.Error("it is not renewed", err)
	}
	info, err := os.Stat(filepath.Join(dir, CertificateFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}
