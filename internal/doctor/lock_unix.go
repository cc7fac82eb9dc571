//go:build unix

package doctor

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// dataLocked reports whether a server uses the data folder.
func dataLocked(dir string) bool {
	f, err := os.Open(filepath.Join(dir, lockFile))
	if err != nil {
		return false
	}
	defer f.Close() // releases the lock
	return errors.Is(syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB), syscall.EWOULDBLOCK)
}
