//go:build unix

package doctor

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestLockIsSeen(t *testing.T) {
	dir := t.TempDir()
	if dataLocked(dir) {
		t.Error("no lock is there")
	}
	f, err := os.Create(filepath.Join(dir, lockFile))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if dataLocked(dir) {
		t.Error("nobody holds it")
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if !dataLocked(dir) {
		t.Error("it is held")
	}
}
